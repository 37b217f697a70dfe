"""Running kernels and networks on this machine, to time them.

`clock` times, `samples` says which kernels, `onnxruntime` and `torch` run them, `calibration`
makes a device file of the times.
"""
