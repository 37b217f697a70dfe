"""Analyses: functions of a graph or a profile."""
