"""Ray: the connection, the nodes, the resources of each trial, and the trials themselves."""
