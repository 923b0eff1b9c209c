"""The layout and the import rules that the design rests on, read from the files themselves."""

import ast
import functools
import graphlib
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"mixlab": ROOT / "platform" / "mixlab", "trainables": ROOT / "trainables", "analysis": ROOT / "analysis"}
STUDIES = sorted((ROOT / "studies").glob("*.py"))

# A package or module may import these of the three packages. The longest name that fits a module counts.
MAY_IMPORT = {
    "trainables": {"trainables"},
    "mixlab": {"mixlab"},
    "mixlab.spec": {"mixlab.spec", "mixlab.errors"},
    "analysis": {
        "analysis",
        "trainables",
        "mixlab",  # its public names
        "mixlab.cluster.connect",
        "mixlab.cluster.head",
        "mixlab.cluster.resources",
        "mixlab.errors",
        "mixlab.installation",
        "mixlab.messages",
        "mixlab.passwords",
        "mixlab.provenance",
        "mixlab.search.trial_store",
        "mixlab.spec",
        "mixlab.tracking.artifacts",  # of tracking, the half that reads
        "mixlab.tracking.names",
        "mixlab.tracking.store",
        "mixlab.tracking.stored_runs",
        "mixlab.uris",
    },
}
# Each library is imported by these packages or modules alone.
USERS = {
    "argparse": ("mixlab.cli", "mixlab.doctor.__main__", "mixlab.slurm", "analysis", "mixlab.tracking.merge"),
    "mlflow": ("mixlab.tracking", "analysis"),
    "optuna": ("mixlab.search", "analysis"),
    "ray": ("mixlab.cluster", "mixlab.doctor", "analysis.networks.ray_tasks"),
    "torchvision": ("trainables", "analysis"),
    "ray.tune": ("mixlab.cluster.schedule", "mixlab.cluster.tune_private", "mixlab.cluster.worker"),
}
# Each module that touches private parts of a library has a test that names the pin when an upgrade moves them.
PRIVATE = {
    "mixlab.cluster.ray_private": "mixlab/cluster/test_ray_private.py",
    "mixlab.cluster.tune_private": "mixlab/cluster/test_tune_private.py",
    "mixlab.tracking.mlflow_private": "mixlab/tracking/test_mlflow_private.py",
    "mixlab.search.optuna_private": "mixlab/search/test_optuna_private.py",
    "trainables.device.compilation": "trainables/device/test_cuda_graph.py",
    "trainables.rehearsal": "trainables/test_rehearsal.py",
    "trainables.mixers.mixed": "trainables/mixers/test_laws_of_lambda.py",
}
PUBLIC = {"_replace", "_asdict", "_fields", "_make", "_exit"}  # public in named tuples, and in os


@functools.cache
def modules() -> dict[str, Path]:
    """Return every module of the three packages by its dotted name."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = (package, *path.relative_to(folder).with_suffix("").parts)
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    assert len(found) > 100
    return found


@functools.cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(text(path))


@functools.cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(tree(path)))


@functools.cache
def imported(path: Path) -> frozenset[str]:
    """Return the dotted name of everything that a file imports, wherever in the file; of our own, modules."""
    return names_of(path, statements(tree(path)))


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield every statement below a node: what is within an expression imports nothing, and takes long to visit."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield child
            yield from statements(child)


def names_of(path: Path, nodes: Iterable[ast.AST]) -> frozenset[str]:
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                ours = str(node.module).partition(".")[0] in PACKAGES
                names.add(str(node.module) if ours and full not in modules() else full)
    return frozenset(names)


def tops(path: Path) -> set[str]:
    """Return the packages from which a file imports anything."""
    return {name.partition(".")[0] for name in imported(path)}


def is_within(name: str, packages: tuple[str, ...] | set[str] | frozenset[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_no_file_imports_itself_by_way_of_others():
    """A package's ``__init__`` counts if it is imported by its name, not if only something below it is."""
    graph = {name: {other for other in imported(path) if other in modules()} for name, path in modules().items()}
    graph = {name: others - {name} for name, others in graph.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_imports_flow_one_way():
    for name, path in modules().items():
        rule = max((package for package in MAY_IMPORT if is_within(name, {package})), key=len)
        allowed = MAY_IMPORT[rule]
        # "mixlab" alone allows what is public there, not all that is below it.
        below = {each for each in allowed if each != "mixlab" or rule == "mixlab"}
        for other in imported(path):
            if other.partition(".")[0] in {*PACKAGES, "studies", "tests"}:
                assert is_within(other, below) or other in allowed, f"{name} imports {other}"


def test_what_is_asked_needs_the_standard_library_alone():
    for name, path in modules().items():
        if is_within(name, {"mixlab.spec"}):
            assert tops(path) <= sys.stdlib_module_names | {"mixlab"}, name


@pytest.mark.parametrize("library", USERS)
def test_a_library_is_imported_where_it_belongs(library):
    for name, path in modules().items():
        if any(is_within(other, {library}) for other in imported(path)):
            assert is_within(name, USERS[library]), name


@pytest.mark.parametrize(
    ("start", "libraries", "by_way_of"),
    [
        ("mixlab.launching.launch_study", {"ray", "optuna"}, "mixlab.launching.session"),
        ("analysis.report", {"torch", "torchvision", "timm", "captum"}, "analysis.statistics.tables"),
        ("analysis.words.rendering", {"torch", "matplotlib", "scipy.stats"}, "analysis.statistics.tables"),
    ],
)
def test_a_library_that_takes_seconds_is_not_imported_where_it_is_not_needed(start, libraries, by_way_of):
    """What is imported at the top of a file, not in a function, is imported with it, and so are its packages."""
    seen, left = set(), {start}
    while left:
        name = left.pop()
        seen.add(name)
        names = names_of(modules()[name], tree(modules()[name]).body)
        assert not any(is_within(other, libraries) for other in names), name
        left |= {other for other in {*names, name.rpartition(".")[0]} if other in modules()} - seen
    assert by_way_of in seen


def test_private_parts_of_libraries_are_touched_in_one_file_each_which_has_a_test_of_the_pin():
    parts = {}
    for name, path in modules().items():
        parts[name] = {part for other in imported(path) for part in other.split(".") if is_private(part)}
        parts[name] |= private_attributes(path)
    assert {name for name, found in parts.items() if found} == set(PRIVATE)
    counts = Counter(part for found in parts.values() for part in found)
    assert not [part for part, count in counts.items() if count > 1]
    for test in PRIVATE.values():
        assert re.search(r"pin|constraints\.txt", (ROOT / "tests" / test).read_text()), test


def private_attributes(path: Path) -> set[str]:
    """Return the private names that are read from anything but ``self`` and what the file itself defines."""
    if not re.search(r"(?<!self)(?<!cls)\._[a-z]", text(path)):
        return set()
    own = {node.attr for node in nodes(path) if isinstance(node, ast.Attribute) and of_self(node)}
    own |= {node.name for node in nodes(path) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    read = {node.attr for node in nodes(path) if isinstance(node, ast.Attribute) and not of_self(node)}
    return {name for name in read - own if is_private(name)}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC | sys.stdlib_module_names


def of_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def test_no_two_files_of_a_package_have_one_name():
    for package in PACKAGES:
        names = Counter(path.name for name, path in modules().items() if is_within(name, {package}))
        twice = {name for name, count in names.items() if count > 1} - {"__init__.py", "__main__.py"}
        assert not twice, package


def test_platform_folder_never_hides_the_standard_module():
    assert [path.name for path in (ROOT / "platform").iterdir() if path.suffix != ".egg-info"] == ["mixlab"]


def test_studies_are_scripts_that_nothing_imports():
    assert not (ROOT / "studies" / "__init__.py").exists()
    used = set().union(*map(tops, modules().values()))
    for study in STUDIES:
        assert study.stem not in sys.stdlib_module_names | used
        assert tops(study) <= {"mixlab", "trainables", "collections", "typing"}, study
        assert 'if __name__ == "__main__":\n    main(study, ' in study.read_text(), study


def test_every_text_file_is_read_and_written_as_utf8_whatever_the_locale_says():
    modes_of_text = {"r", "w", "a", "x", "r+", "w+"}
    files = (*modules().values(), *STUDIES)
    for path in (file for file in files if re.search("(read_text|write_text|open)[(]", text(file))):
        for call in (node for node in nodes(path) if isinstance(node, ast.Call)):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            modes = {each.value for each in call.args if isinstance(each, ast.Constant)} & modes_of_text
            if re.search(r"tarfile|distribution\(", ast.unparse(call)):
                continue  # a binary file, and one of a package, which is in UTF-8 by its own standard
            if name in ("read_text", "write_text") or (name == "open" and modes):
                named = any(keyword.arg == "encoding" for keyword in call.keywords)
                assert named, f"{path.relative_to(ROOT)}, line {call.lineno}: name the encoding, utf-8"


def test_every_file_has_a_name_that_any_system_can_check_out():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [name for name in listed.splitlines() if not re.fullmatch(r"[\w./-]+", name)] == []


def test_no_file_is_long():
    """A longer file holds more than one idea."""
    lines = {path: text(path).count("\n") for path in (*modules().values(), *STUDIES)}
    assert {path.name: count for path, count in lines.items() if count > 250} == {}
