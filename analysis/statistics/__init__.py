"""The statistics of a study: what its numbers allow to claim."""

if __name__ == "statistics":
    # A command that is run as a script has the folder of the analysis first on its path, so that whoever asks for
    # Python's own module of this name, such as MLflow, finds this package: give them theirs.
    import importlib.util
    import sys
    import sysconfig

    _spec = importlib.util.spec_from_file_location(__name__, f"{sysconfig.get_path('stdlib')}/statistics.py")
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules[__name__] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[__name__])
