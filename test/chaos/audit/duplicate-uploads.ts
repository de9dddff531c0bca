import type { ProxiedRequest } from '../servers/registry-proxy.ts';

/** `{}`, the layer of every marker tag in the backup. */
const emptyDigest = 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a';

/**
 * Layers that were uploaded twice to one repository at the same time. One replica never does that: two replicas made the same copy,
 * which costs bytes only.
 */
export function countDuplicateUploads(requests: readonly ProxiedRequest[]): number {
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
