"""Ray: the connection, the nodes, what each trial is given, and the trials themselves."""
