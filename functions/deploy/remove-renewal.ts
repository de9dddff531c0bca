import type { InstallSettings } from '../../lib/install/settings.ts';
import { deleteObjects } from './kubectl.ts';
import { toRenewalName } from './manifests/index.ts';

type Names = Pick<InstallSettings, 'name' | 'namespace'>;

/** Removes the CronJob of `CERTIFICATES=renew` with its rights. Resolves with kubectl's output. */
export async function removeRenewal({ name, namespace }: Names): Promise<string> {
  const own = `--namespace=${namespace}`;
  const renewal = toRenewalName(name);
  const kinds = 'cronjob,rolebinding,role,networkpolicy,serviceaccount';
  const outputs = [
    await deleteObjects(kinds, renewal, own),
    await deleteObjects('clusterrolebinding,clusterrole', renewal),
  ];
  return outputs.join('');
}

/** Removes the objects of `CERTIFICATES=cert-manager`; the Secrets stay. */
export async function removeCertManager({ name, namespace }: Names): Promise<string> {
  const own = `--namespace=${namespace}`;
  const outputs = [
    await deleteObjects('certificates.cert-manager.io', `${name}-tls`, `${name}-ca`, own),
    await deleteObjects('issuers.cert-manager.io', `${name}-root`, `${name}-ca`, own),
  ];
  return outputs.join('');
}
