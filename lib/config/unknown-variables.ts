/** What is near these belongs to others: a cluster's environment has `CLUSTER_IP` and `CLUSTER_DIR`. */
const commonNames: ReadonlySet<string> = new Set(['CLUSTER_ID']);

/** A misspelt variable would silently be its default, so what looks like one of ours (`names`) is an error. */
export function findMisspelt(
  env: Readonly<Record<string, string | undefined>>,
  names: readonly string[],
): readonly string[] {
  return Object.keys(env)
    .filter((name) => !names.includes(name))
    .filter((name) => !isServiceLink(name, env[name] ?? ''))
    .flatMap((name) => {
      const bare = name.replace(/^IMAGE_CLONER_/, '');
      const nearest = names
        .filter((known) => !commonNames.has(known))
        .map((known) => ({ known, distance: editDistance(bare, known) }))
        .filter(({ known, distance }) => distance <= (known.length < 12 ? 1 : 2))
        .toSorted((a, b) => a.distance - b.distance)[0];
      if (nearest !== undefined) return [`${name} is not known; did you mean ${nearest.known}?`];
      return bare === name ? [] : [`${name} is not known`];
    });
}

/** Kubernetes itself sets `IMAGE_CLONER_PORT=tcp://…` and its like in each pod beside a Service `image-cloner`. */
function isServiceLink(name: string, value: string): boolean {
  const isAddress = /_PORT(_\d+_(TCP|UDP|SCTP))?$/.test(name) && /^(tcp|udp|sctp):/.test(value);
  const isPart = /_(SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR))$/;
  return isAddress || isPart.test(name);
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
