"""What past updates teach: how their forecasts came out, and what to make of the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from instar.core.finding import Finding, Verdict
from instar.core.records import Forecast, Outcome

_PRIOR = 2.0  # past updates that the unchanged forecast weighs as much as
_REACH = 3.0  # largest correction, and one over the smallest


def corrected(forecast: Forecast, past: Sequence[Outcome]) -> Forecast:
    """Scale a forecast by how earlier ones came out.

    Each figure is scaled by a least-squares ratio of real to forecast values, drawn to 1 by a prior
    of two updates, and kept within a third and three times.
    """
    if not past or not forecast.passes:  # what changes nothing is known
        return forecast

    def scaled(name: str, real: Callable[[Outcome], float]) -> float:
        pairs = [(getattr(one.forecast, name), real(one)) for one in past]
        return float(getattr(forecast, name)) * ratio(pairs)

    cpu = ratio([(one.forecast.cpu_s, one.cpu_s) for one in past])
    # Earlier records had no forecast of these.
    timed = [one for one in past if one.forecast.wall_s]
    return replace(
        forecast,
        gain=scaled("gain", lambda one: one.gain),
        forgetting=scaled("forgetting", lambda one: one.forgetting),
        flips=scaled("flips", lambda one: one.flips),
        cpu_s=forecast.cpu_s * cpu,
        money=forecast.money * cpu,
        wall_s=forecast.wall_s * ratio([(one.forecast.wall_s, one.wall_s) for one in timed]),
        gpu_s=forecast.gpu_s * ratio([(one.forecast.gpu_s, one.gpu_s) for one in timed]),
        peak_bytes=round(
            forecast.peak_bytes
            * ratio([(one.forecast.peak_bytes, one.peak_bytes) for one in timed])
        ),
        source=f"{forecast.source}; corrected by {len(past)} past updates",
    )


def ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """Fit real = r * forecast, drawn to 1 by two updates' worth.

    Example:
        >>> ratio([]), ratio([(0.02, 0.02)] * 5), round(ratio([(0.02, 0.01)] * 2), 2)
        (1.0, 1.0, 0.75)
    """
    square = sum(forecast**2 for forecast, _ in pairs)
    if not square:
        return 1.0
    prior = _PRIOR * square / len(pairs)
    fitted = (sum(f * real for f, real in pairs) + prior) / (square + prior)
    return min(_REACH, max(1 / _REACH, fitted))


def finding(past: Sequence[Outcome]) -> Finding | None:
    """Report how the forecasts of past updates came out, and what was lost by their choices."""
    if not past:
        return None
    forecast = sum(one.forecast.gain for one in past) / len(past)
    real = sum(one.gain for one in past) / len(past)
    regret = sum(one.regret for one in past) / len(past)
    return Finding(
        "regret",
        Verdict.PASS,
        f"the last {len(past)} updates gained {100 * real:.2f} points in the mean, "
        f"{100 * forecast:.2f} were forecast; another of the candidates tried, or the champion, "
        f"would have been {100 * regret:.2f} better",
        measured=regret,
        unit="points",
        n=len(past),
        enforced=False,
        picture={
            "kind": "lines",
            "x": list(range(1, len(past) + 1)),
            "series": [
                {"name": "forecast", "y": [_points(one.forecast.gain) for one in past]},
                {"name": "real", "y": [_points(one.gain) for one in past]},
            ],
            "x_label": "update",
            "y_label": "gain, points",
        },
    )


def history(past: Sequence[Outcome], metric: str) -> Finding | None:
    """Report how good the versions were that served, each on the fresh rows of its own update."""
    served = [one for one in past if one.version and one.score is not None]
    if not served or not metric:
        return None
    scores = [float(f"{one.score:.4g}") for one in served if one.score is not None]
    return Finding(
        "history",
        Verdict.PASS,
        f"{metric} of the last {len(served)} versions when they were judged, oldest first: "
        f"{', '.join(f'{score:g}' for score in scores[-5:])}",
        measured=scores[-1],
        unit=metric,
        n=len(served),
        enforced=False,
        picture={
            "kind": "lines",
            "x": list(range(1, len(scores) + 1)),
            "series": [{"name": metric, "y": scores}],
            "x_label": "version",
            "y_label": metric,
        },
    )


def _points(value: float) -> float:
    return float(f"{100 * value:.4g}")
