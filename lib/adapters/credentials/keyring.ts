import { dockerHub, type Repository } from '../../image/reference.ts';
import type { Credentials } from '../../ports/index.ts';

/** Credentials by key: a host, a host with a path, or a host pattern. */
export interface Keyring {
  /** All matches, in the order in which the kubelet tries them. */
  find(image: Repository): readonly Credentials[];
}

interface Location {
  readonly labels: readonly string[];
  readonly port: string;
  readonly path: string;
}

/** The key is parsed once: one review can look up 200 images in 20 Secrets. */
export interface KeyringEntry extends Location {
  readonly key: string;
  readonly credentials: Credentials;
}

const hubKey = 'index.docker.io';

/**
 * Follows the kubelet (Kubernetes `pkg/credentialprovider/keyring.go`): keys in reverse lexical order, equal ports, the same number
 * of host labels, each label a glob, the path a prefix. One difference: `localhost/x` does not get Docker Hub's password.
 */
export function createKeyring(entries: readonly KeyringEntry[]): Keyring {
  return {
    find({ domain, path }) {
      const [host, port] = splitPort(domain);
      const image = { labels: host.split('.'), port, path };
      const matches = entries.filter((entry) => isMatch(entry, image));
      const isHubWithoutMatch = matches.length === 0 && domain === dockerHub;
      const usable = isHubWithoutMatch ? entries.filter(({ key }) => key === hubKey) : matches;
      return usable.toSorted((a, b) => compare(b.key, a.key)).map(({ credentials }) => credentials);
    },
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * `url` is a key of a docker config: a host or a URL, with or without a path. `https://index.docker.io/v1/` → `index.docker.io`;
 * `/v1/` and `/v2/` are API versions, not repositories.
 */
export function toEntry(url: string, credentials: Credentials): KeyringEntry {
  const [, authority = '', rest = ''] =
    /^(?:https?:\/\/)?([^/]*)(?:\/v[12](?=\/))?(.*)$/s.exec(url) ?? [];
  const path = rest === '/' ? '' : rest;
  const [host, port] = splitPort(authority);
  return { key: `${authority}${path}`, labels: host.split('.'), port, path, credentials };
}

function isMatch({ labels, port, path }: Location, image: Location): boolean {
  return (
    port === image.port &&
    labels.length === image.labels.length &&
    labels.every((pattern, index) => isGlobMatch(pattern, image.labels[index] ?? '')) &&
    `/${image.path}`.startsWith(path)
  );
}

function splitPort(authority: string): readonly [host: string, port: string] {
  const match = /^(.*?)(?::(\d+))?$/.exec(authority);
  return [match?.[1] ?? authority, match?.[2] ?? ''];
}

/** The limit of DNS. */
const maxLabelLength = 63;

/**
 * Go's `filepath.Match` for `*` and `?`. Not a regular expression: a pull secret chooses the pattern, and backtracking over many
 * stars takes exponential time.
 */
function isGlobMatch(pattern: string, label: string): boolean {
  if (label.length > maxLabelLength) return pattern === label;
  let [patternAt, labelAt] = [0, 0];
  let star: { readonly patternAt: number; readonly labelAt: number } | undefined;
  while (labelAt < label.length) {
    const expected = pattern[patternAt];
    if (expected === '*') {
      star = { patternAt, labelAt };
      patternAt += 1;
    } else if (expected === '?' || expected === label[labelAt]) {
      patternAt += 1;
      labelAt += 1;
    } else if (star !== undefined) {
      // Only the last star needs to match one more character.
      star = { ...star, labelAt: star.labelAt + 1 };
      [patternAt, labelAt] = [star.patternAt + 1, star.labelAt];
    } else {
      return false;
    }
  }
  while (pattern[patternAt] === '*') patternAt += 1;
  return patternAt === pattern.length;
}
