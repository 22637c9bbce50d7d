"""Who answers whom: a hash of the unit picks one of 10,000 buckets, the route owns them."""

from __future__ import annotations

from itertools import chain, repeat

from instar.core.errors import InputError
from instar.core.tools import Route

BUCKETS = 10_000
_SHADOWS = 2


class BadRoute(InputError):
    """Refuse a route that cannot be put in force."""

    code = "input.bad_route"

    def __init__(self, wanted: str, got: str) -> None:
        super().__init__(wanted, got, "write the route again")


class Router:
    """Assign units to versions.

    The first challenger owns the buckets from 0 up, a second one those from 9,999 down, the
    champion what lies between: a growing share only takes buckets from the champion. The same
    unit gets the same version for as long as the salt and its bucket's owner stay. `spans` lists
    the owners from bucket 0 up, and how many buckets each has.

    Example:
        >>> route = Route("m", 1, {"old": 0.9, "new": 0.1}, {"old": "a", "new": "b"}, "old", "s")
        >>> router = Router(route)
        >>> router.version("customer 7") == router.version("customer 7")
        True
        >>> sum(router.version(str(unit)) == "new" for unit in range(20_000))
        20...
    """

    def __init__(self, route: Route) -> None:
        # Only who answers requests needs it: whoever moves traffic installs without it.
        from xxhash import xxh3_64_intdigest

        check(route)
        self._hash = xxh3_64_intdigest
        self._seed = xxh3_64_intdigest(route.salt.encode(errors="surrogatepass"))
        self.spans = _spans(route)
        self._owners = tuple(chain.from_iterable(repeat(name, n) for name, n in self.spans))

    def version(self, unit: str) -> str:
        """Name the version that answers a unit."""
        return self._owners[self.bucket(unit)]

    def bucket(self, unit: str) -> int:
        """Hash a unit into 0..9,999; XXH3, for CRC is off by 3 sigma on running numbers."""
        return self.place(unit) % BUCKETS

    def place(self, unit: str) -> int:
        """Hash a unit into 64 bits, of which its bucket is the rest by 10,000."""
        return int(self._hash(unit.encode(errors="surrogatepass"), self._seed))


def check(route: Route) -> None:
    """Refuse a route that contradicts itself.

    Raises:
        BadRoute: shares do not sum to 1, or a version has no manifest.
    """
    if any(not 0 <= share <= 1 for share in route.shares.values()):
        raise BadRoute("shares from 0 to 1", str(dict(route.shares)))
    if abs(sum(route.shares.values()) - 1) > 1 / BUCKETS:
        raise BadRoute("shares that sum to 1", str(dict(route.shares)))
    if len([v for v, share in route.shares.items() if share and v != route.champion]) > 2:
        raise BadRoute("at most two versions beside the champion", str(len(route.shares)))
    if len(route.shadow) > _SHADOWS:
        raise BadRoute(f"at most {_SHADOWS} shadows", str(len(route.shadow)))
    for version, part in route.shadow.items():
        if not 0 < part <= 1:
            raise BadRoute(f"a part of the requests for {version}, above 0 and up to 1", str(part))
        if version == route.champion or route.shares.get(version):
            raise BadRoute("a shadow without traffic of its own", version)
    for version in (route.champion, *route.shares, *route.warm, *route.shadow):
        if version not in route.manifests:
            raise BadRoute(f"a manifest for {version}", "none")


def _spans(route: Route) -> tuple[tuple[str, int], ...]:
    """Say who owns how many buckets, from bucket 0 up."""
    sizes = {v: round(share * BUCKETS) for v, share in route.shares.items() if share}
    challengers = [(version, n) for version, n in sizes.items() if version != route.champion]
    first, second = challengers[:1], challengers[1:2]
    between = BUCKETS - sum(n for _, n in challengers[:2])
    return tuple((name, n) for name, n in (*first, (route.champion, between), *second) if n > 0)
