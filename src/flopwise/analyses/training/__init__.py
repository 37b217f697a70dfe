"""What a training run takes: operations, time, energy, money; memory; many devices."""
