"""The training and the evaluation of a trial, in pure torch: neither ray, mlflow nor mixlab is imported."""

from trainables.device import compiler

compiler.leave_out_until_needed()  # before anything imports torchvision
