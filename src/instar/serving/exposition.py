"""The text format of Prometheus: what each metric means, and how its lines are written.

Source:
    https://prometheus.io/docs/instrumenting/exposition_formats/ and /docs/practices/naming/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

HELP: Mapping[str, str] = {
    "instar_requests_total": "Answers, by outcome: ok, error, or invalid (no finite number).",
    "instar_latency_seconds": "Time from the last byte of a request to its answer.",
    "instar_scores": "Scores from 0 to 1, of the last class; the sum is made of its bins' middles.",
    "instar_rows_total": "Rows answered.",
    "instar_runs_total": "Runs of the model; one may answer the rows of several requests.",
    "instar_missing_columns_total": "Columns that a version reads and a request lacked.",
    "instar_rescued_total": "Answers that the champion gave, since this version failed.",
    "instar_cache_total": "Looks into the cache of answers, by outcome.",
    "instar_refused_total": "Requests for a prediction that were wrong, and were told so (4xx).",
    "instar_labels_total": "True labels handed in, by what became of them.",
    "instar_labelled_total": "Answered rows whose true label has come.",
    "instar_right_total": "Those of them that were answered right; tasks with classes only.",
    "instar_squared_error_total": "Sum of squared errors of the labelled rows: the Brier score of "
    "classes, halved over several; of numbers, in the square of their unit.",
    "instar_log_dropped_total": "Lines of the log of answers that the disk did not take in time.",
    "instar_workers": "Workers that answer now.",
    "instar_workers_wanted": "Workers that there ought to be.",
    "instar_route_generation": "Number of the route in force; 0: none so far.",
    "instar_route_refused": "1 while the wanted route is not in force, since a worker refused it.",
    "instar_route_share": "Share of the traffic that the route in force gives a version.",
    "instar_recorded": "Rows that the workers of now have kept with their inputs.",
    "instar_record_dropped": "Rows that they were to keep, and had no room for.",
    "instar_shadow_sampled_total": "Requests that a version was to be shown as a shadow.",
    "instar_shadow_dropped_total": "Those of them that there was no time or room for.",
    "instar_shadow_requests_total": "Requests that a shadow took, off the reply path.",
    "instar_shadow_errors_total": "Those of them at which the shadow failed.",
    "instar_shadow_invalid_total": "Those of them that it answered with no finite number.",
    "instar_shadow_rows_total": "Rows whose two answers were compared.",
    "instar_shadow_flips_total": "Those of them that the shadow answers otherwise.",
    "instar_shadow_largest_difference": "Largest difference of two answers to one row.",
    "instar_shadow_mean_difference": "Mean difference of two answers to one row.",
    "instar_crashes_total": "Processes that ended or hung while a version worked in them.",
    "instar_release_phase": "1 for the phase in which the last release of the line stands.",
    "instar_release_step": "Step of the last release; 0 before the first.",
    "instar_process_cpu_seconds_total": "CPU time, user and system, of a process of the gateway.",
    "instar_process_resident_memory_bytes": "Resident memory of a process of the gateway; what "
    "several share counts in each.",
    "instar_process_start_time_seconds": "When a process of the gateway began, since the epoch.",
}


def helped(lines: Iterable[str]) -> Iterator[str]:
    """Say before its type what a metric means.

    Example:
        >>> list(helped(["# TYPE instar_workers gauge"]))[0]
        '# HELP instar_workers Workers that answer now.'
    """
    for line in lines:
        if line.startswith("# TYPE ") and (text := HELP.get(name := line.split()[2])):
            yield f"# HELP {name} {text}"
        yield line


def family(
    name: str, kind: str, samples: Iterable[tuple[Mapping[str, str], float]]
) -> Iterator[str]:
    """Write all samples of one metric.

    Example:
        >>> list(family("instar_x", "gauge", [({"model": "m"}, 0.5)]))
        ['# TYPE instar_x gauge', 'instar_x{model="m"} 0.5']
    """
    yield f"# TYPE {name} {kind}"
    for labels, value in samples:
        inside = ",".join(f'{key}="{escaped(text)}"' for key, text in labels.items())
        yield f"{name}{{{inside}}} {value:.15g}"


def escaped(text: str) -> str:
    """Write a label's value so that it ends where it ends."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
