import type { TapRequest } from './tap.ts';

/** `{}`, which every mark in the backup has for its layer. */
const emptyDigest = 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a';

/**
 * Layers that were on their way to the same place twice at the same moment. One replica never does that: two made the same copy,
 * which costs their bytes and nothing else.
 */
export function countDoubles(requests: readonly TapRequest[]): number {
  const uploads = requests.flatMap(({ method, path, repository, at, endedAt }) => {
    const digest = /[?&]digest=([^&]+)/.exec(path)?.[1];
    if (method !== 'PUT' || digest === undefined) return [];
    const layer = decodeURIComponent(digest);
    return layer === emptyDigest ? [] : [{ layer: `${repository} ${layer}`, at, endedAt }];
  });
  const byLayer = [...Map.groupBy(uploads, ({ layer }) => layer).values()];
  return byLayer.filter((same) =>
    same.some((one, n) =>
      same.slice(n + 1).some((other) => one.at < other.endedAt && other.at < one.endedAt),
    ),
  ).length;
}
