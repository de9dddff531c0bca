import { configVariables } from '../../config/variables.ts';
import { deployVariables, settingVariables } from '../setting-variables.ts';

/** Variables of this machine: never recorded, and never inherited from the installation. */
const machineVariables: ReadonlySet<string> = new Set([
  'REGISTRY_AUTH_DIR',
  'DOCKER_HOST',
  'DOCKER_CONFIG',
  'OUT_DIR',
  'KEEP_CA_KEY',
  'PORT',
  'TLS_PORT',
  'TLS_CERT_FILE',
  'TLS_PRIVATE_KEY_FILE',
  'GATEWAY_CERT_FILE',
  'LOG_LEVEL',
  'LOG_FORMAT',
]);

/** They select the installation whose record applies, so they are not a part of it. */
const selectors: ReadonlySet<string> = new Set(['NAME', 'NAMESPACE']);

/**
 * Proxies of the pods. Only a settings file sets them: the environment has those of this machine, which often differ from the
 * cluster's.
 */
export const proxyVariables = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY'] as const;

const defaults: ReadonlyMap<string, string | undefined> = new Map(
  [...settingVariables, ...deployVariables, ...configVariables].map((variable) => [
    variable.name,
    variable.default,
  ]),
);

/** The variables that the environment and a settings file may set, and that are recorded. */
export const recordedVariables: readonly string[] = [...defaults.keys()].filter(
  (name) => !machineVariables.has(name) && !selectors.has(name),
);

/** Every variable that a settings file may have. */
export const fileVariables: readonly string[] = [...defaults.keys(), ...proxyVariables];

/** Whether the value of a variable is kept in the cluster. */
export function isRecorded(name: string): boolean {
  return recordedVariables.includes(name) || proxyVariables.some((each) => each === name);
}

/** The default of a variable as text; `undefined` if it has none or depends on others. */
export function defaultOf(name: string): string | undefined {
  return defaults.get(name);
}
