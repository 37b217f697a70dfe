"""Training on many devices: what each of them holds, computes, and says to the others."""
