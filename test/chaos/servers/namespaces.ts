/** A namespace, and how it gets the pull secret of the registry `safe`. */
export interface TestNamespace {
  readonly name: string;
  /** Where the secret is named: pods, default ServiceAccount, pods although it does not exist, or nowhere. */
  readonly secret: 'pod' | 'account' | 'missing' | 'none';
  /** Whether `just pull-secret` was run for it. */
  readonly isOpen: boolean;
}

/** Name of the secret in every namespace. */
export const secretName = 'safe-pull';

export const testNamespaces: readonly [TestNamespace, ...TestNamespace[]] = [
  { name: 'shop', secret: 'pod', isOpen: true },
  { name: 'billing', secret: 'account', isOpen: true },
  { name: 'search', secret: 'missing', isOpen: true },
  { name: 'mail', secret: 'none', isOpen: false },
];

/** Whether a namespace has the secret. */
export function hasSecret(namespace: string): boolean {
  return testNamespaces.some(
    ({ name, secret }) => name === namespace && (secret === 'pod' || secret === 'account'),
  );
}

/** `imagePullSecrets` of the pods of a namespace. */
export function toPullSecrets(namespace: string): object {
  const isNamed = testNamespaces.some(
    ({ name, secret }) => name === namespace && (secret === 'pod' || secret === 'missing'),
  );
  return isNamed ? { imagePullSecrets: [{ name: secretName }] } : {};
}
