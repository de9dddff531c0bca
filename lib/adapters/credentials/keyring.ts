import { dockerHub, type Repository } from '../../image/reference.ts';
import type { Credentials } from '../../ports/index.ts';

/** Credentials by the keys under which they were stored: hosts, hosts with paths, host patterns. */
export interface Keyring {
  /** All that fit, in the order in which the kubelet would try them. */
  find(image: Repository): readonly Credentials[];
}

export interface KeyringEntry {
  readonly credentials: Credentials;
  /** Read once: two hundred images are looked up in twenty Secrets for one review. */
  readonly location: Location;
}

interface Location {
  readonly key: string;
  readonly labels: readonly string[];
  readonly port: string;
  readonly path: string;
}

/** `key` as it stands in a docker config: a host, a URL, with a path or without. */
export function toEntry(key: string, credentials: Credentials): KeyringEntry {
  return { credentials, location: toLocation(key) };
}

const hubKey = 'index.docker.io';

/**
 * The kubelet's rules (Kubernetes `pkg/credentialprovider/keyring.go`): keys in reverse lexical order, every match is tried;
 * ports equal, as many host labels, each label a glob, path a prefix. Not copied: `localhost/x` falling back to Docker Hub's password.
 */
export function createKeyring(entries: readonly KeyringEntry[]): Keyring {
  return {
    find({ domain, path }) {
      const [host, port] = splitPort(domain);
      const image = { labels: host.split('.'), port, path };
      const matches = entries.filter(({ location }) => isMatch(location, image));
      const isHubWithoutMatch = matches.length === 0 && domain === dockerHub;
      const found = isHubWithoutMatch
        ? entries.filter(({ location }) => location.key === hubKey)
        : matches;
      return found
        .toSorted((a, b) => compare(b.location.key, a.location.key))
        .map(({ credentials }) => credentials);
    },
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `https://index.docker.io/v1/` → `index.docker.io`; `/v1/` and `/v2/` are API versions, not repositories. */
function toLocation(text: string): Location {
  const bare = text.replace(/^https?:\/\//, '');
  const slash = bare.indexOf('/');
  const authority = slash < 0 ? bare : bare.slice(0, slash);
  const rest = slash < 0 ? '' : bare.slice(slash);
  const path = (/^\/v[12]\//.test(rest) ? rest.slice('/v1/'.length - 1) : rest).replace(/^\/$/, '');
  const [host, port] = splitPort(authority);
  return { key: `${authority}${path}`, labels: host.split('.'), port, path };
}

function isMatch({ labels, port, path }: Location, image: Omit<Location, 'key'>): boolean {
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

/** DNS allows no more: a longer label is no host's, and not worth the time. */
const maxLabelLength = 63;

/**
 * Go's `filepath.Match`, as far as hosts use it: `*` and `?`. By hand, since whoever may write a pull secret writes the
 * pattern, and a regular expression with a few stars can take for ever.
 */
function isGlobMatch(pattern: string, label: string): boolean {
  if (label.length > maxLabelLength) return pattern === label;
  let [at, read] = [0, 0];
  let star: { readonly at: number; readonly read: number } | undefined;
  while (read < label.length) {
    const wanted = pattern[at];
    if (wanted === '*') {
      star = { at, read };
      at += 1;
    } else if (wanted === '?' || wanted === label[read]) {
      at += 1;
      read += 1;
    } else if (star !== undefined) {
      // The last star takes one character more; those before it never need to.
      star = { at: star.at, read: star.read + 1 };
      [at, read] = [star.at + 1, star.read];
    } else {
      return false;
    }
  }
  while (pattern[at] === '*') at += 1;
  return at === pattern.length;
}
