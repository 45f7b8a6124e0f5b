"""`pdefm zoo`: the pretrained models that come with the package, and their cards."""

from typing import Annotated

import typer
from rich.markdown import Markdown
from rich.table import Table

from pdebench_fm.cli import zoo_convert
from pdebench_fm.cli.console import console, short

app = typer.Typer(help="List, show and convert pretrained models.", no_args_is_help=True)
app.command("import")(zoo_convert.import_model)
app.command("export")(zoo_convert.export_model)


@app.command("list")
def list_models() -> None:
    """List the models in the package with their zero-shot errors on their pretraining distributions."""
    from pdebench_fm.evaluation.model_card import stated_scores
    from pdebench_fm.models import zoo_names
    from pdebench_fm.models.zoo import zoo_directory
    from pdebench_fm.training.record import read_training_record

    table = Table(title="Models in the package; zero-shot error on their own pretraining distributions, lite track")
    table.add_column("model", no_wrap=True)
    table.add_column("samples", justify="right")
    for system in ("poisson", "advection-diffusion", "helmholtz"):
        table.add_column(system, justify="right")
    for name in zoo_names():
        record = read_training_record(zoo_directory() / name)
        scores = {score.task: score.error for score in stated_scores(zoo_directory() / name) if score.shots == 0}
        cells = [scores.get(f"{system}/pretrain") for system in ("poisson", "advection-diffusion", "helmholtz")]
        shown = ["—" if error is None else short(error) for error in cells]
        table.add_row(name, f"{record.samples:,}", *shown)
    console.print(table)


@app.command()
def show(name: Annotated[str, typer.Argument(help="A model's name, such as fno-mixed-64k.")]) -> None:
    """Show a model's card: how it was trained, what it scores, what it cannot do."""
    from pdebench_fm.errors import unknown_name
    from pdebench_fm.models import zoo_names
    from pdebench_fm.models.zoo import zoo_directory

    if name not in zoo_names():
        raise unknown_name("model", name, zoo_names())
    text = (zoo_directory() / name / "README.md").read_text(encoding="utf-8")
    console.print(Markdown(text.split("---\n", 2)[-1]))
