import { CloneError } from '../errors.ts';
import { digestProblem } from './digest.ts';

/** A repository, such as `docker.io` and `library/nginx`. */
export interface Repository {
  /** Registry host, with the port if one was written. Docker Hub is `docker.io`. */
  readonly domain: string;
  readonly path: string;
}

/** A normalized image reference. The tag is absent if none was written; `latest` is implied then. */
export interface Reference extends Repository {
  readonly tag?: string;
  readonly digest?: string;
}

export const dockerHub = 'docker.io';

const maxTextLength = 1024;
/** distribution/reference `RepositoryNameTotalLengthMax`. */
const maxPathLength = 255;

// The grammar of distribution/reference (regexp.go, commit 0965666), which agrees on every row of test/image/reference.test.ts.
const label = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const host = `(?:${label}(?:\\.${label})*|\\[[a-fA-F0-9:]+\\])`;
const domainPattern = new RegExp(`^${host}(?::[0-9]+)?$`);
const component = '[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*';
const pathPattern = new RegExp(`^${component}(?:/${component})*$`);
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

/** Whether `text` is a registry host, with or without a port. */
export function isDomain(text: string): boolean {
  return domainPattern.test(text);
}

/** Whether `text` is a repository path such as `library/nginx`. */
export function isPath(text: string): boolean {
  return pathPattern.test(text) && text.length <= maxPathLength;
}

/** Whether `text` is a tag. */
export function isTag(text: string): boolean {
  return tagPattern.test(text);
}

/**
 * Parses an image reference as Docker and the kubelet do: `nginx` is `docker.io`, `library/nginx`.
 * Throws `CloneError` `INVALID_REFERENCE`.
 */
export function parseReference(text: string): Reference {
  if (text.length > maxTextLength) {
    throw invalid(text, `it is longer than ${maxTextLength} characters`);
  }
  if (/^[0-9a-f]{64}$/.test(text)) throw invalid(text, 'it is an image ID, not a name');

  const { name, tag, digest } = splitName(text);
  const { domain, path } = splitDomain(name);
  if (tag !== undefined && !tagPattern.test(tag)) throw invalid(text);
  if (domain === '' || !domainPattern.test(domain)) throw invalid(text);
  if (!pathPattern.test(path)) {
    throw invalid(
      text,
      pathPattern.test(path.toLowerCase()) ? 'the repository name must be lower case' : undefined,
    );
  }
  if (path.length > maxPathLength) {
    throw invalid(text, `the repository name is longer than ${maxPathLength} characters`);
  }
  const problem = digest === undefined ? undefined : digestProblem(digest);
  if (problem !== undefined) throw invalid(text, problem);

  return {
    domain,
    path,
    ...(tag !== undefined && { tag }),
    ...(digest !== undefined && { digest }),
  };
}

/** The inverse of `parseReference`, in the familiar form: `nginx:1.27`, not `docker.io/library/nginx:1.27`. */
export function formatReference(reference: Reference): string {
  return formatParts(formatRepository(reference), reference.tag, reference.digest);
}

/** Formats a repository in its familiar form: `nginx`, `quay.io/prometheus/node-exporter`. */
function formatRepository({ domain, path }: Repository): string {
  if (domain !== dockerHub) return `${domain}/${path}`;
  const short = path.startsWith('library/') ? path.slice('library/'.length) : path;
  const [head = '', ...rest] = short.split('/');
  // Shortened, docker.io/quay.io/x would name another registry.
  const isAmbiguous = (rest.length > 0 && isDomainLike(head)) || /^[0-9a-f]{64}$/.test(short);
  const losesLibrary = rest.length > 0 && short !== path;
  return isAmbiguous || losesLibrary ? `${domain}/${path}` : short;
}

/** Formats a repository in its full form, which is unique: `docker.io/library/nginx`. */
export function canonicalRepository({ domain, path }: Repository): string {
  return `${domain}/${path}`;
}

/** Formats a reference in its full form with the implied tag, which is unique: `docker.io/library/nginx:latest`. */
export function canonicalReference(reference: Reference): string {
  const tag = reference.tag ?? (reference.digest === undefined ? 'latest' : undefined);
  return formatParts(canonicalRepository(reference), tag, reference.digest);
}

/** Whether the first component of a name is read as a registry host and not as part of the path. */
export function isDomainLike(head: string): boolean {
  return head === 'localhost' || /[.:]/.test(head) || head !== head.toLowerCase();
}

function formatParts(name: string, tag: string | undefined, digest: string | undefined): string {
  return `${name}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

function splitName(text: string): {
  readonly name: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
} {
  const at = text.indexOf('@');
  const named = at < 0 ? text : text.slice(0, at);
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  return {
    name: colon < 0 ? named : named.slice(0, colon),
    tag: colon < 0 ? undefined : named.slice(colon + 1),
    digest: at < 0 ? undefined : text.slice(at + 1),
  };
}

function splitDomain(name: string): Repository {
  const slash = name.indexOf('/');
  const head = slash < 0 ? '' : name.slice(0, slash);
  const explicit = slash >= 0 && (isDomainLike(head) || head === '');
  const domain = explicit ? (head === 'index.docker.io' ? dockerHub : head) : dockerHub;
  const path = explicit ? name.slice(slash + 1) : name;
  const isOfficial = domain === dockerHub && path !== '' && !path.includes('/');
  return { domain, path: isOfficial ? `library/${path}` : path };
}

function invalid(text: string, detail?: string): CloneError {
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
  const reason = detail === undefined ? '' : `: ${detail}`;
  return new CloneError('INVALID_REFERENCE', `${shown} is not a valid image name${reason}`);
}
