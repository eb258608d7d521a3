"""A hook of mkdocs.yml: the site has the repository's own tree, so that one link serves GitHub and the site.

Its pages are README.md, docs/ and whatever these link to, files of the repository that are not pages included.
"""

import pathlib
import re
import urllib.parse

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = pathlib.Path(__file__).resolve().parents[1]
REFERENCE = {
    "torch": ("nigt.torch", ["nigt.torch"]),
    "optax": ("nigt.optax", ["nigt.optax"]),
    "keras": ("nigt.keras", ["nigt.keras"]),
    "tf_keras": ("nigt.tf_keras", ["nigt.tf_keras"]),
    "betas": ("β as a function of the step", ["nigt.betas"]),
    "settings": (
        "What a gin file may say",
        ["trainers.experiment", "trainers.schema.optimizers", "trainers.schema.schedules", "trainers.schema.tasks"],
    ),
}
NAMES = "`BertPretraining` is `@bert_pretraining()` in a gin file; `bert_pretraining.layers = 2` binds an argument."
# Room for tables.
STYLE = """
.md-grid { max-width: 78rem; }
.md-typeset table:not([class]) th, .md-typeset table:not([class]) td { min-width: 3rem; padding: .5em .8em; }
.md-typeset h1 { font-weight: 400; }
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replaces docs/ as mkdocs found it by the files to publish, at their places in the repository."""
    for file in [file for file in files if file.src_dir == config.docs_dir]:
        files.remove(file)
    for path in sorted(_linked([ROOT / "README.md", *ROOT.glob("docs/*.md")])):
        files.append(File(str(path.relative_to(ROOT)), str(ROOT), config.site_dir, config.use_directory_urls))
    for name, (title, modules) in REFERENCE.items():
        text = "\n\n".join(
            [f"# {title}", NAMES if name == "settings" else "", *(f"::: {module}" for module in modules)]
        )
        if len(modules) == 1:
            text += "\n    options: { show_root_heading: false, show_root_toc_entry: false }"
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    files.append(File.generated(config, "site.css", content=STYLE))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Titles the code that has a file's name beside its language, "```python model.py"."""
    return re.sub(r"^(```\w+) ([\w./-]+)$", r'\1 title="\2"', markdown, flags=re.MULTILINE)


def _linked(waiting: list[pathlib.Path]) -> set[pathlib.Path]:
    """These files and those of the repository that they link to, directly or not."""
    found: set[pathlib.Path] = set()
    while waiting:
        path = waiting.pop()
        if path in found or ROOT not in path.parents or not path.is_file():
            continue  # mkdocs reports a broken link
        found.add(path)
        if path.suffix == ".md":
            links = re.findall(r"\]\(([^)#\s]+)", path.read_text())
            waiting += [(path.parent / urllib.parse.unquote(link)).resolve() for link in links]
    return found


class Settings(griffe.Extension):
    """For griffe, which reads the docstrings: what "a, b: text" describes, and the fields of a gin file's settings."""

    def on_instance(self, *, obj: griffe.Object, **_: object) -> None:
        """Writes "a, b: text" as a line for each."""
        if obj.docstring:
            group = r"^( *)(\w+(?:, \w+)+):( .*(?:\n\1 +\S.*)*)$"
            obj.docstring.value = re.sub(group, _apart, obj.docstring.value, flags=re.MULTILINE)

    def on_package(self, *, pkg: griffe.Module, **_: object) -> None:
        """Gives the settings a signature, inherited fields included, and shows the types that it names."""
        for name in REFERENCE["settings"][1] if pkg.name == "trainers" else ():
            module = pkg[name.removeprefix("trainers.")]
            for alias in (attribute for attribute in module.attributes.values() if not attribute.annotation):
                alias.docstring = griffe.Docstring("<!-- Without a docstring it would be left out. -->", parent=alias)
            for cls in (cls for cls in module.classes.values() if not cls.is_alias):
                fields = [field for base in (*reversed(cls.mro()), cls) for field in base.attributes.values()]
                parameters = {
                    field.name: griffe.Parameter(
                        field.name,
                        annotation=field.annotation,
                        kind=griffe.ParameterKind.keyword_only,
                        default=field.value,
                    )
                    for field in fields
                    if field.annotation and "instance-attribute" in field.labels and field.parent.name != "Settings"
                }
                cls["__init__"] = griffe.Function("__init__", parameters=griffe.Parameters(*parameters.values()))


def _apart(group: re.Match[str]) -> str:
    indent, names, text = group.groups()
    return "\n".join(f"{indent}{name}:{text}" for name in names.split(", "))
