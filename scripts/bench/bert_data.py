"""Times the builder of the paper's text against tf-models-official's script: `make bench` writes results/bench.

Each measurement is a process of its own on one core, timed after its imports, in processor seconds: other work on the
machine lengthens those less than it does the time on the clock.
"""

import json
import os
import pathlib
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from data import vocabulary
from data.errors import InputError
from data.laptop import sample
from trainers.checkout import ROOT, describe_commit
from trainers.running.atomic import write_atomically
from trainers.running.held import describe_device

ROUNDS = 3
SIZES = (1, 10, 100)  # times the sample
# Words (Devlin et al., section 3.1).
WIKIPEDIA, BOOKS = 2.5e9, 0.8e9
_LENGTH, _PREDICTIONS, _SEED = 512, 76, 0


def _official(case: dict) -> dict:
    from official.nlp.data import create_pretraining_data as script
    from official.nlp.tools import tokenization

    def run() -> dict:
        tokenizer = tokenization.FullTokenizer(case["vocabulary"], do_lower_case=True)
        instances = script.create_training_instances(
            [case["lines"]],
            tokenizer,
            script.get_processor_text_fn(False, True),
            _LENGTH,
            1,
            0.1,
            0.15,
            _PREDICTIONS,
            random.Random(_SEED),
        )
        output = [f"{case['scratch']}/{number}.tfrecord" for number in range(4)]
        script.write_instance_to_example_files(instances, tokenizer, _LENGTH, _PREDICTIONS, output, False, True)
        return {"sequences": len(instances)}

    return _timed(run)


def _ours(case: dict) -> dict:
    from data.bert import build as bert_build
    from data.bert import sources as bert_sources

    def run() -> dict:
        units = bert_sources.list_units(None, None, case["books"])
        options = bert_build.Options(
            dupe_factor=case.get("passes", 1),
            vocab_size=case["vocab_size"],
            shards=4,
            held_out_shards=1,
            held_out=0.02,
            seed=_SEED,
        )
        target = f"{case['scratch']}/text"
        content = bert_build.build(units, target, options, case["vocabulary"])
        splits = content["splits"].values()
        return {
            "words": sum(split["words"] for split in splits),
            "sequences": sum(split["sequences"] for split in splits),
            "bytes": sum(entry["bytes"] for entry in content["files"].values()),
        }

    return _timed(run)


def _reading(case: dict) -> dict:
    from data.bert import sources as bert_sources

    def run() -> dict:
        units = bert_sources.list_units(case["dump"], None, None)
        texts = [document.text for unit in units for document in bert_sources.documents(unit)]
        return {"words": sum(len(text.split()) for text in texts)}

    return _timed(run)


def _timed(run: Callable[[], dict]) -> dict:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    before, clock = time.process_time(), time.monotonic()
    result = run()
    result |= {"cpu_s": time.process_time() - before, "wall_s": time.monotonic() - clock}
    return result | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


_KINDS = {"official": _official, "ours": _ours, "reading": _reading}


def _measure(kind: str, case: dict, folder: pathlib.Path) -> dict:
    core = min(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        result = subprocess.run(
            [sys.executable, "-m", "scripts.bench.bert_data", kind, json.dumps(case | {"scratch": scratch})],
            cwd=ROOT,
            env=os.environ | {"TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
    return json.loads(result.stdout.splitlines()[-1])


def _prepare(folder: pathlib.Path) -> dict:
    """The sample: the long texts, the same as lines for the script, a vocabulary of them, the dump."""
    from data.bert import sequences as bert_sequences
    from data.bert import sources as bert_sources

    dump, books = sample.write(folder, ROOT / ".data/downloads")
    documents = [d for unit in bert_sources.list_units(None, None, str(books)) for d in bert_sources.documents(unit)]
    tokens = vocabulary.train((document.text for document in documents), 30522)
    vocabulary.save(tokens, folder / "vocab.txt")
    sentences = ("\n".join(bert_sequences.sentences(document.text)) for document in documents)
    (folder / "lines.txt").write_text("\n\n".join(sentences) + "\n", encoding="utf-8")
    case = {"vocabulary": folder / "vocab.txt", "lines": folder / "lines.txt", "books": books, "dump": dump}
    words = sum(len(document.text.split()) for document in documents)
    return {name: str(path) for name, path in case.items()} | {"vocab_size": len(tokens), "words": words}


def _multiplied(books: pathlib.Path, folder: pathlib.Path, times: int) -> str:
    """So many copies of the books, each under a name of its own; they take no space."""
    target = folder / f"books-{times}"
    target.mkdir()
    for path in books.iterdir():
        for number in range(times):
            os.link(path, target / f"{path.stem} {number}.txt")
    return str(target)


def _median(results: list[dict], name: str) -> float:
    return statistics.median(result[name] for result in results)


def _row(name: str, results: list[dict], words: float) -> str:
    rates = sorted(words / result["cpu_s"] for result in results)
    rate = f"{statistics.median(rates):,.0f}" + (f" ({rates[0]:,.0f} to {rates[-1]:,.0f})" if rates[1:] else "")
    cpu, clock = _median(results, "cpu_s"), _median(results, "wall_s")
    peak = max(result["peak_mb"] for result in results)
    return f"| {name} | {words:,.0f} | {len(results)} | {cpu:.1f} | {clock:.1f} | {rate} | {peak:,.0f} |"


def _report(case: dict, rounds: dict[str, list[dict]], sizes: dict[int, dict]) -> str:
    words = case["words"]
    ratio = sorted(b["cpu_s"] / a["cpu_s"] for a, b in zip(rounds["ours"], rounds["official"], strict=True))
    one, ten = (_median(rounds[name], "cpu_s") / words for name in ("ours", "ten passes"))
    read = _median(rounds["reading"], "cpu_s") / rounds["reading"][0]["words"]
    per_pass = (ten - one) / 9
    hours = (WIKIPEDIA * read + (WIKIPEDIA + BOOKS) * one) / 3600
    more = (WIKIPEDIA + BOOKS) * per_pass / 3600
    text_bytes = os.path.getsize(case["lines"]) / words
    bytes_a_word = rounds["ours"][0]["bytes"] / words
    lines = [
        f"`python -m scripts.bench.bert_data`, {describe_device(1)}, {describe_commit()};",
        "one process at a time, on one core, in turn; medians (range) of n rounds; TOKENIZERS_PARALLELISM=false;",
        "seconds are the processor's, after the imports; the clock's are longer where other work shared the machine.",
        "",
        f"The same {words:,} words, {case['vocab_size']:,} tokens in the vocabulary, sequences of {_LENGTH}, one pass,",
        "both written as TFRecords. Ours includes Beam's runner, the sort on disk, hashes and the manifest.",
        "",
        "| what | words | n | processor s | clock s | words / processor s | peak MB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        _row("create_pretraining_data.py", rounds["official"], words),
        _row("data.bert", rounds["ours"], words),
        _row("data.bert, ten passes", rounds["ten passes"], words),
        _row("reading a dump: bzip2, XML, wikitext", rounds["reading"], rounds["reading"][0]["words"]),
        *(_row(f"data.bert, the sample {size} ×", [sizes[size]], sizes[size]["words"]) for size in SIZES),
        "",
        f"**{statistics.median(ratio):.1f} times** as fast as the script ({ratio[0]:.1f} to {ratio[-1]:.1f}).",
        "",
        f"{SIZES[1]} × and {SIZES[2]} × are copies under other titles. Their words are known after the first copy,",
        "which makes them faster than new text; the row above meets every word for the first time, and the figures",
        "below are made of it. Memory is TensorFlow, Beam, the words it remembers and buffers of fixed size.",
        "",
        "3.3 billion words (2.5 of Wikipedia, 0.8 of books: Devlin et al.) extrapolated from this, not run:",
        f"{hours:.1f} core-hours for one pass, {more:.2f} for each further one, {hours + 9 * more:.1f} for the ten of",
        f"`make bert-data`. On disk {bytes_a_word:.1f} bytes a word and pass: {bytes_a_word * 3.3:.0f} GB a pass,",
        f"{bytes_a_word * 33:.0f} GB for ten; while it builds, the text besides (about {text_bytes * 3.3:.0f} GB).",
        "",
    ]
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Measures and writes the table, or, with arguments, does one measurement in this process; the exit status."""
    if argv:
        print(json.dumps(_KINDS[argv[0]](json.loads(argv[1]))))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        try:
            case = _prepare(folder)
        except InputError as error:
            print(f"bench_bert_data: {error}", file=sys.stderr)
            return 2
        rounds: dict[str, list[dict]] = {"official": [], "ours": [], "ten passes": [], "reading": []}
        for _ in range(ROUNDS):
            rounds["official"].append(_measure("official", case, folder))
            rounds["ours"].append(_measure("ours", case, folder))
            rounds["ten passes"].append(_measure("ours", case | {"passes": 10}, folder))
            rounds["reading"].append(_measure("reading", case, folder))
        sizes = {}
        for size in SIZES:
            books = _multiplied(pathlib.Path(case["books"]), folder, size)
            sizes[size] = _measure("ours", case | {"books": books}, folder)
        text = _report(case, rounds, sizes)
    write_atomically(ROOT / "results/bench/bert_data.md", text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
