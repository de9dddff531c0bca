import type { Middleware } from '../http/index.ts';
import { type FaultMatch, type Faults, on } from './faults.ts';
import {
  type Refusal,
  refuse,
  refuseAnonymousToken,
  refuseMediaTypes,
  refuseRepositories,
  refuseRewrites,
  refuseTagMoves,
  refuseText,
  refuseUnpushed,
} from './policy-faults.ts';
import { answer, redirect, refuseMount } from './request-faults.ts';
import { changeHeaders, changeLocation } from './response-faults.ts';
import { caselessTags } from './tag-faults.ts';
import { vendorErrors } from './vendor-errors.ts';

export interface ModeOptions {
  /** Whether a repository, or its project, was created before the first push. @default all were */
  readonly exists?: (repository: string) => boolean;
  /** Whether a tag that exists cannot be written again. @default false */
  readonly immutableTags?: boolean;
  /** Whether a quota is used up. @default false */
  readonly isFull?: boolean;
  /** Whether a policy of the registry forbids pulls. @default false */
  readonly blocksPulls?: boolean;
  /** URL of another origin for layers, or for referrers; receives the requested URL. @default no redirect */
  readonly elsewhere?: (url: URL) => string;
}

type FaultRow = readonly [match: FaultMatch, fault: Middleware];

interface Mode {
  /** How the registry authenticates clients; `createMemoryRegistry` does that. */
  readonly scheme: 'basic' | 'bearer';
  readonly faults: (options: ModeOptions) => readonly FaultRow[];
}

/**
 * How registries differ from the specification. `distribution` and `zot` were compared with the real programs; the others
 * follow documents, sources and bug trackers, and were never tried on the real service.
 */
export const modes = {
  /** Distribution 2.8 and 3: no referrers API, manifests by sha256 only, no layers with `urls`. */
  distribution: {
    scheme: 'basic',
    faults: () => [
      ...noReferrers(),
      [isSha512Write, refuse(vendorErrors.distribution.digest)],
      [isManifestWrite, refuseText('"urls":', vendorErrors.distribution.url)],
    ],
  },
  /** quay/quay endpoints/v2; two levels as on quay.io; older versions reject a mount without `from`. */
  quay: {
    scheme: 'bearer',
    faults: () => [
      names((name) => name.split('/').length === 2, vendorErrors.quay.name),
      [any, refuseUnpushed(vendorErrors.quay.repository)],
      [isMountWithoutSource, refuse(vendorErrors.quay.mount)],
    ],
  },
  /** goharbor/harbor src/server/middleware: v2auth, immutable, quota, vulnerable. */
  harbor: {
    scheme: 'bearer',
    faults: ({ exists = all, immutableTags, isFull, blocksPulls }) => [
      [any, refuseRepositories(exists, vendorErrors.harbor.repository)],
      ...rowsIf(immutableTags, [isManifestWrite, refuseTagMoves(vendorErrors.harbor.tag)]),
      ...rowsIf(isFull, [on('PUT', 'upload'), refuse(vendorErrors.harbor.quota)]),
      ...rowsIf(blocksPulls, [isManifestRead, refuse(vendorErrors.harbor.policy)]),
    ],
  },
  /** Referrers go by 303 to another host, which limits requests (artifacthub/hub#4785); 416 for chunks above 4 MiB. */
  ghcr: {
    scheme: 'bearer',
    faults: ({ elsewhere }) => [
      [any, refuseUnpushed(vendorErrors.ghcr.repository)],
      [on('GET', 'token'), refuseAnonymousToken(vendorErrors.ghcr.token)],
      [isLargeChunk, answer(416)],
      ...noReferrers(elsewhere && redirect(elsewhere, 303)),
    ],
  },
  /** A repository must be created first, unless a creation template does it; no mount unless the account has opted in. */
  ecr: {
    scheme: 'basic',
    faults: ({ exists = all, immutableTags }) => [
      names((name) => singleSeparators.test(name), vendorErrors.ecr.name),
      [any, refuseRepositories(exists, vendorErrors.ecr.repository)],
      [on('GET', 'upload'), refuse(vendorErrors.ecr.upload)],
      [on('POST', 'uploads'), refuseMount()],
      ...rowsIf(immutableTags, [isManifestWrite, refuseTagMoves(vendorErrors.ecr.tag)]),
    ],
  },
  /** HEAD of a missing manifest is 403 in virtual repositories (google/go-containerregistry#1691). */
  artifactory: {
    scheme: 'bearer',
    faults: () => [[on('HEAD', 'manifest'), forbidMissing], ...noReferrers()],
  },
  /**
   * OCI 1.0; tag lists had no `Link` before 3.64 (sonatype/nexus-public#209). `immutableTags` is "Disable redeploy", which also
   * refuses a second tag of a manifest (GoogleContainerTools/jib#2395).
   */
  nexus: {
    scheme: 'basic',
    faults: ({ immutableTags }) => [
      [on('GET', 'tags'), changeHeaders({ link: undefined })],
      ...noReferrers(),
      ...rowsIf(
        immutableTags,
        [isManifestWrite, refuseTagMoves(vendorErrors.nexus.tag)],
        [isManifestWrite, refuseRewrites(vendorErrors.nexus.tag)],
      ),
    ],
  },
  /** go-gitea/gitea routers/api/packages/container. */
  gitea: {
    scheme: 'bearer',
    faults: () => [
      names((name) => singleSeparators.test(name), vendorErrors.gitea.name),
      [any, caselessTags()],
      relativeLocations,
      ...noReferrers(),
    ],
  },
  /** zot without `http.compat`; `immutableTags` is an account without the right `update`. */
  zot: {
    scheme: 'basic',
    faults: ({ immutableTags }) => [
      [isManifestWrite, refuseMediaTypes((type) => !type.includes('docker'))],
      relativeLocations,
      ...rowsIf(immutableTags, [isManifestWrite, refuseTagMoves(vendorErrors.zot.tag)]),
    ],
  },
  /** Names are PROJECT/REPOSITORY/IMAGE, and the repository must exist; no chunked upload. */
  gar: {
    scheme: 'bearer',
    faults: ({ exists = all, immutableTags, elsewhere }) => [
      names((name) => name.split('/').length > 2, vendorErrors.gar.name),
      [any, refuseRepositories(exists, vendorErrors.gar.repository)],
      ...rowsIf(immutableTags, [isManifestWrite, refuseTagMoves(vendorErrors.gar.tag)]),
      ...noReferrers(),
      ...cloudStorage(elsewhere),
    ],
  },
  /** `immutableTags` is a locked tag (`az acr repository update --write-enabled false`). */
  acr: {
    scheme: 'bearer',
    faults: ({ immutableTags, elsewhere }) => [
      ...rowsIf(immutableTags, [isManifestWrite, refuseTagMoves(vendorErrors.acr.tag)]),
      ...cloudStorage(elsewhere),
    ],
  },
} as const satisfies Record<string, Mode>;

export type ModeName = keyof typeof modes;

/** Makes a registry answer as a vendor's does. */
export function useMode(
  { faults }: { readonly faults: Faults },
  name: ModeName,
  options: ModeOptions = {},
): void {
  const mode: Mode = modes[name];
  for (const [match, fault] of mode.faults(options)) faults.add(match, fault);
}

/** Names without `__` and `--`. */
const singleSeparators = /^[a-z0-9]+([._-][a-z0-9]+)*(\/[a-z0-9]+([._-][a-z0-9]+)*)*$/;
const largestChunk = 4 * 1024 * 1024;

const any: FaultMatch = () => true;
const all = (): boolean => true;
const isManifestWrite = on('PUT', 'manifest');
const isSha512Write: FaultMatch = ({ method, path }) =>
  method === 'PUT' && path.includes('/manifests/sha512:');
const isMountWithoutSource: FaultMatch = ({ kind, path }) =>
  kind === 'uploads' && path.includes('mount=') && !path.includes('from=');
const isManifestRead: FaultMatch = ({ method, kind }) =>
  kind === 'manifest' && (method === 'GET' || method === 'HEAD');
const isLargeChunk: FaultMatch = ({ method, headers }) =>
  method === 'PATCH' && Number(headers.get('content-length')) > largestChunk;

const relativeLocations: FaultRow = [
  ({ kind }) => kind === 'uploads' || kind === 'upload',
  changeLocation(({ pathname, search }) => `${pathname}${search}`),
];

const forbidMissing: Middleware = async (exchange, next) => {
  const response = await next(exchange);
  return response.status === 404 ? new Response(null, { status: 403 }) : response;
};

function names(isValid: (name: string) => boolean, refuse: Refusal): FaultRow {
  return [any, refuseRepositories(isValid, refuse)];
}

/** A registry without the referrers API, or with one elsewhere. */
function noReferrers(instead: Middleware = answer(404)): readonly FaultRow[] {
  return [
    [({ kind }) => kind === 'referrers', instead],
    [on('PUT', 'manifest'), changeHeaders({ 'oci-subject': undefined })],
  ];
}

/** A registry in front of an object store. */
function cloudStorage(elsewhere: ModeOptions['elsewhere']): readonly FaultRow[] {
  return [
    [on('PATCH', 'upload'), refuse(vendorErrors.gar.chunk)],
    relativeLocations,
    ...(elsewhere === undefined ? [] : [[on('GET', 'blob'), redirect(elsewhere)] as const]),
  ];
}

function rowsIf(condition = false, ...rows: readonly FaultRow[]): readonly FaultRow[] {
  return condition ? rows : [];
}
