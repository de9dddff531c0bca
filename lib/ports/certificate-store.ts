/** A Service of the cluster. */
export interface ServiceName {
  readonly name: string;
  readonly namespace: string;
}

/** The certificate of a webhook, as the cluster holds it. */
export interface StoredCertificate {
  /** Absent if the Secret does not exist. */
  readonly secret?: {
    /** In base64. */
    readonly data: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
    readonly version: string;
  };
  /** Absent if the webhook configuration does not exist. */
  readonly configuration?: {
    /** The Service that the API server calls; absent if it calls a URL or nothing. */
    readonly service?: ServiceName;
    /** `caBundle` of each webhook, in base64; empty if it has none. */
    readonly caBundles: readonly string[];
    /** Changes whenever a webhook changes, and with no other write. */
    readonly revision: string;
    readonly version: string;
  };
}

/** A Secret that does not exist yet. */
export interface NewSecret {
  readonly type: string;
  readonly labels: Readonly<Record<string, string>>;
  /** In base64. */
  readonly data: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/**
 * The Secret with the certificate, and the webhook configuration that trusts it. Each write replaces exactly the version that was
 * read, and resolves with `false` if that has changed meanwhile. All reject with one sentence if the API server refuses.
 */
export interface CertificateStore {
  read(signal: AbortSignal): Promise<StoredCertificate>;
  /** Also resolves with `false` if the Secret exists. */
  createSecret(secret: NewSecret, signal: AbortSignal): Promise<boolean>;
  /** Replaces all data and all annotations. */
  replaceSecret(
    secret: NonNullable<StoredCertificate['secret']>,
    signal: AbortSignal,
  ): Promise<boolean>;
  /** Replaces the CA bundle of every webhook in one write. */
  replaceBundles(
    configuration: Pick<NonNullable<StoredCertificate['configuration']>, 'caBundles' | 'version'>,
    signal: AbortSignal,
  ): Promise<boolean>;
}

/** What one server of the webhook presents in a TLS handshake. */
export interface ServedCertificate {
  /** `10.0.0.3:8443`. */
  readonly server: string;
  /** base64 of the DER encoding; absent if the handshake failed. */
  readonly certificate?: string;
  /** Why the handshake failed: `ECONNREFUSED`. */
  readonly problem?: string;
}
