"""Several processes train one network: how its work is shared out, and how the processes are started."""
