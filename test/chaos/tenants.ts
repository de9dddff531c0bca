/** A namespace, and how it comes by the pull secret of the registry `safe`. */
export interface Tenant {
  readonly name: string;
  /** Named by its pods, by its default ServiceAccount, by its pods although there is none, or not at all. */
  readonly secret: 'pod' | 'account' | 'missing' | 'none';
  /** Whether `just pull-secret` was run for it. */
  readonly isOpen: boolean;
}

/** The one name that the secret has everywhere. */
export const secretName = 'safe-pull';

export const tenants: readonly [Tenant, ...Tenant[]] = [
  { name: 'shop', secret: 'pod', isOpen: true },
  { name: 'billing', secret: 'account', isOpen: true },
  { name: 'search', secret: 'missing', isOpen: true },
  { name: 'mail', secret: 'none', isOpen: false },
];

/** Whether a namespace has the secret. */
export function hasSecret(namespace: string): boolean {
  return tenants.some(
    ({ name, secret }) => name === namespace && (secret === 'pod' || secret === 'account'),
  );
}

/** What the pods of a namespace say of pull secrets. */
export function toPullSecrets(namespace: string): object {
  const isNamed = tenants.some(
    ({ name, secret }) => name === namespace && (secret === 'pod' || secret === 'missing'),
  );
  return isNamed ? { imagePullSecrets: [{ name: secretName }] } : {};
}
