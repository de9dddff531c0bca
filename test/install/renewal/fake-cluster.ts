import { X509Certificate } from 'node:crypto';
import type { CertificateChain } from '../../../lib/install/certificate.ts';
import type {
  CertificateStore,
  ServedCertificate,
  StoredCertificate,
} from '../../../lib/ports/index.ts';

type Secret = NonNullable<StoredCertificate['secret']>;
type Data = Secret['data'];

/** A Secret and a webhook configuration that reach API servers and pods late. */
export interface FakeCluster {
  readonly store: CertificateStore;
  readonly readServed: () => Promise<readonly ServedCertificate[]>;
  readonly now: () => Date;
  readonly advance: (ms: number) => void;
  /** What the objects hold now. */
  readonly secret: () => { readonly data: Data; readonly annotations: Data } | undefined;
  /** Certificates of each bundle, in PEM. */
  readonly bundles: () => readonly (readonly string[])[];
  /** As another client does. */
  readonly setData: (data: Data | undefined) => void;
  readonly setBundles: (...bundles: readonly string[]) => void;
  /** A pod that goes on presenting the certificate that it has now. */
  readonly setStuck: (isStuck: boolean) => void;
  /** Moments at which some API server would have refused the certificate of some pod. */
  readonly refusals: readonly string[];
}

export interface FakeClusterOptions {
  readonly now: Date;
  readonly data: Data | undefined;
  /** Of the Secret. @default none */
  readonly annotations?: Data;
  /** PEM, one for each webhook. */
  readonly bundles: readonly string[];
  /** Whether the webhooks call a URL instead of a Service. @default false */
  readonly callsUrl?: boolean;
  /** Called before each request of the store. */
  readonly onRequest?: (verb: string) => Promise<unknown> | void;
}

const service = { name: 'image-cloner', namespace: 'kourier-system' };
/** API servers and pods have an object this long after it was written, at the latest. */
const lagMs = 30 * 60_000;

/** The data of a Secret of type `kubernetes.io/tls`, as `toTlsSecret` writes them. */
export function toData({ certificate, key, ca }: CertificateChain): Data {
  return { 'tls.crt': btoa(certificate), 'tls.key': btoa(key), 'ca.crt': btoa(ca) };
}

export function createFakeCluster(options: FakeClusterOptions): FakeCluster {
  const { onRequest, annotations = {}, callsUrl = false } = options;
  let time = options.now.getTime();
  let version = 1;
  let generation = 1;
  let secret: Secret | undefined =
    options.data === undefined
      ? undefined
      : { data: options.data, annotations, version: String(version) };
  let configuration = { version: '1', bundles: options.bundles };
  let stuck: string | undefined;
  const refusals: string[] = [];
  // Each entry is in force from its time until the next one.
  const served: { readonly at: number; readonly certificate: string | undefined }[] = [];
  const trusted: { readonly at: number; readonly bundles: readonly string[] }[] = [];

  /** The entries that some component still has. */
  function recent<Entry extends { readonly at: number }>(entries: readonly Entry[]): Entry[] {
    const from = entries.findLastIndex(({ at }) => at <= time - lagMs);
    return entries.slice(Math.max(from, 0));
  }

  function check(): void {
    const certificates = new Set([...recent(served).map((entry) => entry.certificate), stuck]);
    for (const { bundles } of recent(trusted)) {
      for (const certificate of certificates) {
        if (certificate === undefined) continue;
        if (bundles.every((bundle) => accepts(bundle, certificate))) continue;
        refusals.push(new Date(time).toISOString());
      }
    }
  }

  function setSecret(changed: Omit<Secret, 'version'> | undefined): void {
    version += 1;
    secret = changed === undefined ? undefined : { ...changed, version: String(version) };
    served.push({ at: time, certificate: servedCertificate() });
    check();
  }

  /** A pod keeps the last valid certificate if the Secret is gone. */
  function servedCertificate(): string | undefined {
    const pem = atob(secret?.data['tls.crt'] ?? '');
    return pem.includes('BEGIN') ? pem : served.at(-1)?.certificate;
  }

  function setBundles(bundles: readonly string[]): void {
    version += 1;
    generation += 1;
    configuration = { version: String(version), bundles };
    trusted.push({ at: time, bundles });
    check();
  }

  served.push({ at: 0, certificate: servedCertificate() });
  trusted.push({ at: 0, bundles: options.bundles });

  return {
    store: {
      async read() {
        await onRequest?.('read');
        return {
          ...(secret !== undefined && { secret }),
          configuration: {
            ...(!callsUrl && configuration.bundles.length > 0 && { service }),
            caBundles: configuration.bundles.map((bundle) => btoa(bundle)),
            revision: `u/${generation}`,
            version: configuration.version,
          },
        };
      },
      async createSecret({ data, annotations }) {
        await onRequest?.('createSecret');
        if (secret !== undefined) return false;
        setSecret({ data, annotations });
        return true;
      },
      async replaceSecret({ version: read, ...changed }) {
        await onRequest?.('replaceSecret');
        if (secret?.version !== read) return false;
        setSecret(changed);
        return true;
      },
      async replaceBundles({ version: read, caBundles }) {
        await onRequest?.('replaceBundles');
        if (configuration.version !== read) return false;
        setBundles(caBundles.map(atob));
        return true;
      },
    },
    readServed: async () => {
      const [oldest] = recent(served);
      const pods = [oldest?.certificate, stuck].filter((pem) => pem !== undefined);
      return pods.map((pem, index) => ({
        server: `10.0.0.${index + 1}:8443`,
        certificate: new X509Certificate(pem).raw.toString('base64'),
      }));
    },
    now: () => new Date(time),
    advance: (ms) => {
      time += ms;
      check();
    },
    secret: () => secret,
    bundles: () => configuration.bundles.map(split),
    setData: (data) =>
      setSecret(data === undefined ? undefined : { data, annotations: secret?.annotations ?? {} }),
    setBundles: (...bundles) => setBundles(bundles),
    setStuck: (isStuck) => {
      stuck = isStuck ? (stuck ?? recent(served)[0]?.certificate) : undefined;
    },
    refusals,
  };
}

const verdicts = new Map<string, boolean>();

/** Remembers each verdict, because a signature takes long to verify and histories repeat the same pairs. */
function accepts(bundle: string, certificate: string): boolean {
  const pair = `${bundle} ${certificate}`;
  const known = verdicts.get(pair);
  if (known !== undefined) return known;
  const leaf = new X509Certificate(certificate);
  const verdict = split(bundle).some((ca) => leaf.verify(new X509Certificate(ca).publicKey));
  verdicts.set(pair, verdict);
  return verdict;
}

function split(bundle: string): readonly string[] {
  return bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}
