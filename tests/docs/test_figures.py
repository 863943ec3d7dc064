"""What the pages say of speed, size and quality is what the results say that they name."""

import json
import statistics

import pytest

from pages import ROOT

MIB = 2**20
# The rows of docs/models.md and the sets behind them.
STS17 = {
    "Arabic": "track1.ar-ar",
    "Arabic and English": "track2.ar-en",
    "Spanish": "track3.es-es",
    "Spanish and English": "track4a.es-en",
    "English": "track5.en-en",
    "Turkish and English": "track6.tr-en",
}
LANGUAGES = {
    "English (en)": ("", "en"),
    "German (de)": ("deu", "de"),
    "French (fr)": ("fra", ""),
    "Italian (it)": ("ita", ""),
    "Spanish (es)": ("spa", "es"),
    "Romanian (ro)": ("", "ro"),
    "Russian (ru)": ("rus", "ru"),
    "Greek (el)": ("", "el"),
    "Turkish (tr)": ("tur", "tr"),
    "Arabic (ar)": ("ara", "ar"),
    "Hindi (hi)": ("hin", "hi"),
    "Thai (th)": ("tha", "th"),
    "Vietnamese (vi)": ("vie", "vi"),
    "Chinese (zh)": ("cmn", "zh"),
    "Japanese (ja)": ("jpn", ""),
    "Korean (ko)": ("kor", ""),
    "Swahili (sw)": ("swh", ""),
}


def result(name):
    return json.loads((ROOT / "benchmarks" / "results" / name).read_text())


def page(name):
    return " ".join((ROOT / name).read_text().split())


def sizing():
    return (ROOT / "docs" / "operations.md").read_text().partition("## Sizing\n")[2].partition("\n## ")[0]


def test_the_readme_compares_the_engine_in_bf16_with_bf16_and_in_fp32_with_fp32():
    measured = result("engine.json")

    def times(precision, number_format):
        """How many times the texts per CPU second of the peer at its best in the same number format."""
        peers = [case for case in measured["figures"] if case.startswith(f"sentence-transformers {number_format}")]
        return min(measured["ratios"][f"gemvec {precision} / {peer}"]["texts_per_cpu_second"] for peer in peers)

    fast = f"{times('fast', 'bf16'):.1f} times as many texts per CPU second as sentence-transformers does in bf16"
    exact = f"in fp32 (`--precision exact`), {times('exact', 'fp32'):.1f} times as many"
    assert fast in page("README.md")
    assert exact in page("README.md")
    assert "avx512_bf16" in measured["machine"]["instructions"]
    assert {len(rounds) for rounds in measured["figures"].values()} == {5}
    assert (measured["machine"]["processor"], measured["cores"]) == ("AMD EPYC", 2)


def test_the_page_of_comparisons_says_what_was_measured_of_each_program():
    measured, text = result("engine.json"), page("docs/comparison.md")
    rows = {
        "gemvec, `--precision fast` | bf16": "gemvec fast",
        "gemvec, `--precision exact` | fp32": "gemvec exact",
        "sentence-transformers, batch 32 | bf16": "sentence-transformers bf16, batch 32",
        "sentence-transformers, batch 8 | fp32": "sentence-transformers fp32, batch 8",
        "sentence-transformers, batch 32 | fp32": "sentence-transformers fp32, batch 32",
    }
    for row, case in rows.items():
        quoted = [float(each.removesuffix(" MiB ")) for each in text.partition(f"| {row} |")[2].split("|")[:3]]
        figures = ("texts_per_second", "texts_per_cpu_second", "peak_rss_mib")
        expected = [statistics.median(each[name] for each in measured["figures"][case]) for name in figures]
        assert quoted == [pytest.approx(each, abs=0.51 if each == expected[2] else 0.051) for each in expected], row


def test_the_pages_say_which_scores_were_measured():
    measured = result("sts.json")["results"]
    scores = {(each["dataset"], each["precision"]): f"{each['spearman']:.2f}" for each in measured}
    published = {each["dataset"]: f"{each['reference']:.2f}" for each in measured}
    for name, reference in published.items():
        row = f"| {name} | {scores[name, 'exact']} | {scores[name, 'fast']} | {reference} |"
        assert row in page("docs/models.md")
    for precision in ("exact", "fast"):
        row = f"| `{precision}`, through HTTP | {scores['STS13', precision]} | {scores['STS14', precision]} |"
        assert row in page("docs/evaluation.md")
    assert f"| published for all-MiniLM-L6-v2 | {published['STS13']} | {published['STS14']} |" in page(
        "docs/evaluation.md"
    )


def test_the_model_for_many_languages_scores_what_its_package_gives():
    measured = [each for each in result("languages.json")["results"] if "reference" in each]
    assert {each["model"] for each in measured} == {"multilingual-e5-small-q4"}
    assert len(measured) == 16  # six pairs of languages in two precisions, four languages of Tatoeba
    for each in measured:
        assert abs(each["difference"]) <= each["tolerance"], each["dataset"]


def test_the_page_of_models_says_how_good_models_are_in_each_language():
    measured, page_of_models = result("languages.json")["results"], page("docs/models.md")
    scores = {(each["model"], each["precision"], each["dataset"]): each["scores"] for each in measured}
    models = list(dict.fromkeys(each["model"] for each in measured))

    def row(text):
        return [cell.strip() for cell in page_of_models.partition(f"| {text} |")[2].split(" |")]

    for name, pair in STS17.items():
        dataset = f"STS17.{pair}"
        exact = scores[models[0], "exact", dataset]["spearman"]
        fast = [f"{scores[model, 'fast', dataset]['spearman']:.2f}" for model in models]
        cells = row(name)
        assert [*cells[:2], *cells[3 : 2 + len(models)]] == [f"{exact:.2f}", *fast], name
    for name, (tatoeba, xquad) in LANGUAGES.items():
        expected = [
            f"{found[metric]:.1f}" if (found := scores.get((model, "fast", dataset))) else "-"
            for dataset, metric in ((f"tatoeba.{tatoeba}-eng", "accuracy"), (f"xquad.{xquad}", "ndcg@10"))
            for model in models
        ]
        assert row(name)[: len(expected)] == expected, name
    assert all(each["commit"] for each in measured)
    shown = {f"tatoeba.{tatoeba}-eng" for tatoeba, _ in LANGUAGES.values()}
    shown |= {f"xquad.{xquad}" for _, xquad in LANGUAGES.values()} | {f"STS17.{pair}" for pair in STS17.values()}
    assert {each["dataset"] for each in measured} - shown == {"STS17.track4b.es-en"}


def test_the_page_of_models_says_what_became_of_mixed_requests():
    measured, text = result("mixed_models.json"), page("docs/models.md")
    assert (measured["lost"], measured["wrong"], measured["requests"], measured["clients"]) == (0, 0, 10_000, 8)
    (loads,) = set(measured["loads"].values())
    assert f"each model was loaded {loads} times" in text
    assert f"took {measured['resident_bytes']['highest'] / MIB:,.0f} MiB at most" in text
    assert f"allowed {measured['model_memory_bytes'] / MIB:,.0f} MiB for models" in text


def test_the_page_of_models_says_what_a_model_of_true_size_takes():
    measured = result("model_sizes.json")["models"]["embeddinggemma-300m"]
    fast, peer = measured["gemvec fast"], "sentence-transformers fp32"
    text = page("docs/models.md")
    assert f"EmbeddingGemma's size takes {fast['resident_mib_at_the_end']:.0f} MiB in `fast`" in text
    assert f"in fp32 {measured[peer]['resident_mib_at_the_end']:,.0f} MiB" in text
    assert f"first vector takes {fast['cpu_seconds_to_first_vector']:.1f} s of processor time" in text
    alone, together = ([fast[f"times_{each}_{tokens}"] for tokens in (32, 256)] for each in (f"{peer}, 1 thread", peer))
    assert f"computes {alone[0]:.1f} times as many texts of 32 tokens" in text
    assert f"one thread, and {alone[1]:.1f} times as many of 256 tokens" in text
    assert f"{together[0]:.1f} and {together[1]:.1f} times as many as on both cores" in text
    assert fast["resident_mib_at_the_end"] <= 800
    assert fast["lowest_cosine"] >= 0.999


def test_the_decision_for_openvino_says_how_far_bf16_goes():
    measured = result("model_sizes.json")["models"]["embeddinggemma-300m"]
    fast, peer = measured["gemvec fast"], measured["sentence-transformers fp32, 1 thread"]
    peak, text = measured["gigaflops_of_one_core"], page("docs/decisions/0001-openvino-for-the-processor.md")
    assert f"did {peak['bf16']:.0f} and {peak['fp32']:.0f} GFLOP/s" in text
    reached, of_fp32 = (f"{each['share_of_peak_32']:.0%}".replace("%", " %") for each in (fast, peer))
    assert f"reached {reached} of the first, and sentence-transformers on one thread {of_fp32} of the second" in text
    most = fast["texts_per_cpu_second_32"] / fast["share_of_peak_32"] / peer["texts_per_cpu_second_32"]
    assert f"nothing but multiply at that speed would compute {most:.1f} times as many" in text
    together = measured["sentence-transformers fp32"]
    waiting = peer["texts_per_cpu_second_32"] / together["texts_per_cpu_second_32"]
    assert f"took {waiting:.1f} times as much processor time for a text" in text
    assert peak["bf16"] < 2.5 * peak["fp32"]


def test_the_page_on_indexing_says_how_often_each_search_is_right():
    measured = result("hybrid.json")
    sets = {
        "documentation": "37 questions about",
        "docstrings": "400 docstrings among 2,500",
        "identifiers": f"{measured['identifiers']['questions']} names of",
    }
    for name, questions in sets.items():
        row = page("docs/indexing.md").partition(f"| {questions}")[2]
        quoted = [float(each.strip(" %")) for each in row.split("|")[1:5]]
        joined = ("dense", "sparse", "rank", "search")
        assert quoted == [pytest.approx(100 * measured[name][each]["hit@3"], abs=0.051) for each in joined]
        assert measured[name]["questions"] == int(questions.split()[0])


def test_the_page_on_indexing_says_how_many_questions_find_their_document():
    languages = {"en": "17 in English", "es": "6 in Spanish", "zh": "6 in Chinese", "ru": "6 in Russian"}
    measured = result("questions.json")["languages"]
    assert {name: each["questions"] for name, each in measured.items()} == {
        name: int(words.split()[0]) for name, words in languages.items()
    }
    for name, words in languages.items():
        row = page("docs/indexing.md").partition(f"| {words}, ")[2]
        quoted = [int(each) for each in row.split("|")[1:5]]
        ways = ("dense", "hybrid", "dense, by document", "hybrid, by document")
        assert quoted == [measured[name]["right"][way] for way in ways], name
        model = measured[name]["model"]
        assert row.split("|")[0].strip() == ("default model" if name == "en" else f"`{model}`")


def test_the_page_on_milvus_says_what_reading_lite_directly_saves():
    measured, text = result("lite.json")["medians"], page("docs/milvus.md")
    search, plain_search, index, plain_index = (
        f"{measured[case]['cpu_seconds']:.1f}"
        for case in ("search, engine", "search, pymilvus", "index, snapshot", "index, pymilvus")
    )
    assert f"a search takes {search} processor seconds instead of {plain_search}" in text
    assert f"an index without changes {index} instead of {plain_index}" in text


def test_the_page_on_milvus_says_how_much_memory_an_index_into_lite_takes():
    (measured,) = result("lite_memory.json")["sizes"]
    opened, indexed, plain = (f"{measured[f'{case}, peak MiB']:,}" for case in ("open", "indexing", "pymilvus"))
    text = page("docs/milvus.md")
    passages = f"{measured['passages']:,} passages with vectors of 384 values"
    assert f"{passages} take {opened} MiB when they are searched" in text
    assert f"the same passages take at most {indexed} MiB, the model's memory not counted" in text
    assert f"({plain} MiB through pymilvus; [lite_memory.json]" in text


def test_the_page_on_indexing_says_how_much_memory_a_large_document_takes():
    cases = result("index_memory.json")["cases"]
    found = {f"{each['case']} {each['megabytes']}": each for each in cases}
    most, files = max(each["peak_mib"] for each in cases), found["a folder of 50,000 small documents 10"]
    cold, word = found["Markdown, nothing in the cache 4"], found["DOCX 60"]
    text = page("docs/indexing.md")
    assert most < 600
    assert f"at most {most} MiB" in text
    assert f"{files['documents']:,} small files take {files['peak_mib']} MiB" in text
    assert f"{word['megabytes']} MB of XML with {word['passages']:,} passages {word['peak_mib']} MiB" in text
    assert f"{cold['passages']:,} passages that are all embedded take {cold['peak_mib']} MiB" in text


def test_the_page_on_indexing_says_how_fast_pdf_files_are_read():
    measured = result("pdf.json")
    ours, other = (f"{measured['readers'][name]['cpu_seconds']:.1f}" for name in ("gemvec (PDFium)", "pypdf"))
    text = page("docs/indexing.md")
    assert f"{measured['files']} files took {ours} processor seconds, and pypdf {other}" in text


def test_the_page_on_batches_says_what_a_batch_costs():
    measured, text = result("batches.json"), page("docs/batches.md")

    def middle(case, figure):
        return statistics.median(each[figure] for each in measured["figures"][case])

    rows = {
        "engine": "the engine alone, in one process, vectors thrown away",
        "engine_processes": "the engine alone, in two processes",
        "batch": "a batch, from its creation to its success",
        "batch_one_process": "a batch without the processes",
    }
    for case, words in rows.items():
        quoted = [float(each) for each in text.partition(f"| {words} |")[2].split("|")[:2]]
        assert quoted == [pytest.approx(middle(case, figure), abs=0.051) for figure in ("wall", "cpu")]
        if case.startswith("batch"):
            peak = max(each["peak_rss_mib"] for each in measured["figures"][case])
            assert f"{peak:.0f} MiB" in text.partition(f"| {words} |")[2].split("|")[2]
    cost = measured["cost"]
    assert f"{cost['batch_over_engine']['wall']:.0%}".replace("%", " % more time") in text
    assert f"{cost['batch_over_engine_processes']['wall']:.0%}".replace("%", " % more than it takes in two") in text
    assert (measured["texts"], {len(rounds) for rounds in measured["figures"].values()}) == (1_000_000, {2})


def test_the_page_on_batches_says_how_often_they_were_killed():
    measured = result("batch_crashes.json")
    assert (measured["kills_at_random_moments"], measured["kills_at_named_steps"]) == (2000, 320)
    assert measured["violations"] == 0
    assert all(measured[each] for each in ("batches", "cancels", "deletes", "uploads"))
    assert "2,000 times at random moments and 320 times at named steps" in page("docs/batches.md")
    assert measured["chunks_in_flight"] == measured["at_random_moments"]["most_chunks_again_after_one_kill"] == 4
    assert "at most the four chunks in flight" in page("docs/batches.md")
    measured = result("batch_crashes_postgresql.json")
    assert (measured["kills_of_the_worker"], measured["kills_of_the_database"], measured["violations"]) == (100, 100, 0)
    assert "100 kills of the process and 100 of PostgreSQL" in page("docs/batches.md")


def test_the_page_on_indexing_says_how_near_it_is_to_the_model_alone():
    measured, text = result("ingest_markdown.json"), page("docs/indexing.md")
    by_cpu, by_clock = (measured[f"ingest_share_of_engine{name}"] for name in ("_by_cpu", ""))
    assert f"{measured['texts']} passages of Markdown of mixed length are indexed at {by_cpu:.0%}"[:-1] in text
    assert f"and at {by_clock:.0%}"[:-1] in text


def test_the_page_on_indexing_says_how_often_runs_were_killed():
    measured = result("index_crashes.json")
    assert measured["kills"]["index --prune"] + measured["kills"]["index --watch"] == 111
    assert (measured["differences"], len(measured["formats"])) == (0, 11)
    assert "killed 111 runs with `--prune` or `--watch` while documents of eleven formats changed" in page(
        "docs/indexing.md"
    ).replace("\n", " ")
    later = result("index_crashes_lite_writer.json")
    assert f"It killed {later['kills']['index --prune'] + later['kills']['index --watch']} more" in page(
        "docs/indexing.md"
    )
    assert later["differences"] == 0
    assert later["formats"] == measured["formats"]


def test_a_server_with_the_default_model_takes_what_the_guide_says():
    assert "about 200 MiB" in sizing()
    assert "under 300 MiB while large calls" in sizing()
    measured = result("http_bulk.json")["median"]
    assert measured["rss_mib"] == pytest.approx(200, rel=0.15)
    assert measured["peak_rss_mib"] < 300


def test_memory_stays_where_it_is_under_a_mixed_load():
    assert "less than 20 MiB above that of the ten before" in sizing()
    measured = result("steady_load.json")
    assert measured["resident_mib"]["growth_of_the_mean"] < 20
    assert "half an hour of everything at once, with batches | under 500 MiB" in sizing()
    assert measured["resident_mib"]["last_third_most"] < 500
    assert measured["faults"] == []


def test_http_leaves_as_much_of_the_models_speed_as_the_guide_says():
    assert "nine tenths" in sizing()
    assert result("http_bulk.json")["median"]["share"] > 0.9


def test_fuzzing_found_nothing_and_memory_stays_where_the_guide_says():
    assert "under 420 MiB, a hundred of them the vocabulary for token arrays; within 50 MiB" in sizing()
    fuzzed = result("fuzz.json")
    assert fuzzed["requests"] == 200_000
    assert fuzzed["faults"] == []
    assert max(fuzzed["memory_bytes"]) < 420 * MIB
    assert fuzzed["memory_bytes"][-1] - fuzzed["memory_bytes"][0] < 50 * MIB
    assert fuzzed["memory_growth_bytes"] < 16 * MIB


def test_slow_connections_disturb_others_as_little_as_the_guide_says():
    assert "less than twice as long" in sizing()
    slow = result("slow_connections.json")
    assert (slow["connections"], slow["seconds"]) == (500, 120)
    assert slow["p99_ratio"] < 2
    assert slow["memory_bytes"] < 300 * MIB


def test_attacks_disturb_others_as_little_as_the_guide_says():
    assert "beside 16 attacks, one after the other | each call of others is answered within 250 ms" in sizing()
    attacks = result("attacks.json")
    assert attacks["faults"] == []
    assert len(attacks["attacks"]) == 16
    assert max(each["honest_worst_ms"] for each in attacks["attacks"].values()) < 250
    assert max(each["peak_memory_mib"] for each in attacks["attacks"].values()) < 700


def test_a_flood_disturbs_a_small_caller_as_little_as_the_guide_says():
    assert "99 of 100 of its calls are answered within 300 ms" in sizing()
    flood = result("flood.json")
    assert (flood["connections"], flood["texts_in_a_call"], flood["faults"]) == (16, 1000, [])
    assert flood["beside_the_flood"]["p99_ms"] < 300


def read_installs():
    """How much each extra installs; `code`, and `all` since it has it, were measured later."""
    return result("installs.json")["installs"] | result("installs_code.json")["installs"]


def test_the_readme_says_how_much_each_extra_installs():
    installs, text = read_installs(), page("README.md")
    for extra in ("server", "milvus", "all"):
        row = text.partition(f"| `pip install '.[{extra}]'` |")[2]
        assert row.split(" | ")[1].startswith(f"{installs[extra]['bytes'] / 1e6:.0f} MB")
    light = installs["light"]["bytes"]
    assert f"{light / 1e6:.0f} MB |" in text.partition("| `pip install .` |")[2].partition("\n")[0]
    more = f"{(installs['tokens']['bytes'] - light) / 1e6:.0f} MB"
    assert f"OpenAI's routes | {more} more |" in text
    assert f"'.[tokens]'`, {more})" in page("docs/server.md")
    names = {"OpenVINO": "openvino", "Arrow": "pyarrow", "FAISS": "faiss-cpu", "numpy": "numpy", "pandas": "pandas"}
    for name, package in names.items():
        assert f"{name} ({installs['all']['heaviest'][package] / 1e6:.0f}" in text
    assert not {"pyarrow", "faiss-cpu", "pandas"} & installs["server"]["heaviest"].keys()


def test_the_questions_say_what_each_extra_adds():
    installs = read_installs()
    table = (
        (ROOT / "docs" / "questions.md").read_text().partition("| --- | --- | --- | --- |\n")[2].partition("\n\n")[0]
    )
    rows = [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in table.splitlines()]
    for extra, _, beside, more in rows:
        added = installs[extra]["bytes"] - installs[beside.replace("the client", "light")]["bytes"]
        assert more == (f"{added / 1e6:.0f} MB" if added >= 1e6 else "under 1 MB"), extra
    assert {"light", "server", "milvus", "all", "tokens", *(row[0] for row in rows)} == set(installs)


def test_the_page_on_the_client_says_what_a_call_costs():
    measured, text = result("client.json")["figures"]["100 texts"], page("docs/client.md")
    ours, theirs = (
        {name: statistics.median(values) for name, values in measured[case].items()}
        for case in ("gemvec", "google-genai")
    )
    assert f"costs {ours['cpu_ms']:.0f} ms of CPU, google-genai's to lists of floats {theirs['cpu_ms']:.0f}" in text
    seconds = f"{ours['import_cpu_ms'] / 1000:.1f} s where that SDK costs {theirs['import_cpu_ms'] / 1000:.1f}"
    assert f"`import gemvec` costs {seconds}" in text


def test_the_decision_on_http_says_what_each_library_costs():
    measured, text = result("client.json")["libraries"], page("docs/decisions/0004-one-http-stack-for-the-client.md")
    assert f"one answer of {measured['urllib3']['answer_bytes'][0] / 1e6:.1f} MB" in text
    for library, values in measured.items():
        cpu, imported = (statistics.median(values[figure]) for figure in ("cpu_ms", "import_cpu_ms"))
        assert f"| {library} | {cpu:.1f} | {imported:.0f} |" in text


def test_the_page_on_the_cache_says_what_it_costs_and_gives():
    measured, text = result("cache.json"), page("docs/cache.md")
    assert "no more than a hundredth" in text
    assert max(measured["overhead_of_all_missing"].values()) < 0.01
    assert "80,000 a second" in text
    assert measured["texts_per_second_when_all_are_found"] == pytest.approx(80_000, rel=0.1)
    assert (measured["texts"], measured["machine"]["cores"]) == (3000, 2)


def test_the_page_on_batches_says_how_much_was_simulated():
    measured = result("simulation.json")
    assert measured["violations"] == []
    faults = sum(measured["faults"].values())
    assert f"{measured['steps']:,} steps, {measured['lives']:,} lives and {faults:,} faults" in page("docs/batches.md")


def test_the_page_on_object_stores_says_how_servers_were_killed():
    measured, text = result("servers.json"), page("docs/storage.md")
    assert (measured["servers"], measured["violations"]) == (3, 0)
    assert sum(measured["server_kills"].values()) == 3 * 30
    assert measured["database_kills"] == 10
    assert f"{measured['requests']:,} requests in {measured['batches']} batches" in text


def test_the_decision_for_urllib3_says_what_it_costs():
    measured = result("compare.json")["after_over_before"]["client"]
    text = page("docs/decisions/0004-one-http-stack-for-the-client.md").replace("\n", " ")
    assert "one text, or of 100, costs the client no more CPU than with the pool of our own" in text
    assert max(measured["1 text, CPU ms"], measured["100 texts, CPU ms"]) <= 1.05


def test_the_readme_says_how_long_the_first_vector_takes():
    seconds = result("first_vector.json")["median_seconds"]["all"]
    assert f"From nothing to the first vector takes {seconds:.0f} s on two cores" in page("README.md")


def test_the_page_on_ray_says_what_a_lost_node_changes_in_a_corpus():
    measured, text = result("ray_index.json"), page("docs/ray.md").replace("\n", " ")
    assert measured["rows"] == measured["rows_on_ray"] == measured["rows_with_the_same_bytes"]
    assert measured["on_two_nodes"]["added"] == measured["on_one_machine"]["added"] == measured["documents"]
    killed = f"one of which was killed with its actor when {measured['killed_after_documents']:,} of them were done"
    assert f"A corpus of {measured['documents']:,} documents was indexed on two nodes, {killed}" in text
    assert f"Its {measured['rows']:,} rows had the same bytes as those of one machine" in text


def test_the_page_on_ray_says_what_it_costs_and_what_a_lost_node_changes():
    measured, text = result("ray_batches.json"), page("docs/ray.md").replace("\n", " ")
    passages, sentences, killed = (measured[each] for each in ("one_node_passages", "one_node", "two_nodes"))
    engine, batch = (passages["cost"][f"ray_over_{case}"] for case in ("engine", "batch"))
    took = (
        f"a batch of {passages['texts']:,} texts as long as passages took {engine['cpu'] * 100:.1f} % more CPU seconds"
    )
    assert f"{took} than the engine alone, and {engine['wall'] * 100:.0f} % more time" in text
    assert batch["cpu"] == batch["wall"]
    assert f"that is {batch['cpu'] * 100:.1f} % more of both than the same batch without Ray" in text
    engine, batch = (
        [f"{sentences['cost'][f'ray_over_{case}'][each] * 100:.0f} %" for each in ("cpu", "wall")]
        for case in ("engine", "batch")
    )
    assert f"With {sentences['texts']:,} sentences of 12 tokens it is {' and '.join(engine)} over the engine" in text
    assert f"{' and '.join(batch)} over the batch without Ray" in text
    assert killed["lines_with_the_same_bytes"] == killed["texts"]
    assert killed["lost_actors"] == 1
    assert f"{killed['texts']:,} texts on two nodes" in text


def test_the_decision_on_use_multilingual_says_what_was_measured():
    text = page("docs/decisions/0012-no-use-multilingual.md")
    theirs, ours = (
        {each["dataset"]: each["scores"] for each in found if each["precision"] != "exact"}
        for found in (
            result("use_multilingual.json")["results"],
            [each for each in result("languages.json")["results"] if each["model"] == "multilingual-e5-small-q4"],
        )
    )
    rows = {f"STS17, {name}": (f"STS17.{pair}", "spearman") for name, pair in STS17.items()}
    rows |= {
        "Tatoeba, German": ("tatoeba.deu-eng", "accuracy"),
        "XQuAD, English, nDCG@10": ("xquad.en", "ndcg@10"),
    }
    for row, (dataset, metric) in rows.items():
        assert f"| {row} | {theirs[dataset][metric]:.1f} | {ours[dataset][metric]:.1f} |" in text, row
    first = [f"{scores['xquad.en']['recall@1']:.0f}" for scores in (theirs, ours)]
    assert f"USE-multilingual puts {first[0]} on the right paragraph first, the other model {first[1]}." in text
    speeds = result("use_multilingual.json")["texts_per_cpu_second"]
    assert min(speeds[name] for name in ours if name.startswith("tatoeba") and name in speeds) > 1000
