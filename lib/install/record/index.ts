/**
 * The settings of an installation: which variables are recorded in the cluster, and which value applies if the environment, a file
 * and the record differ. Pure; `functions/shared/settings/installation.ts` reads the cluster.
 */
export { addFormerBackup } from './former-backups.ts';
export { inferSettings } from './infer-settings.ts';
export { isRecorded, proxyVariables } from './recorded-variables.ts';
export {
  describeChange,
  diffSettings,
  isRemoval,
  type ResolvedSettings,
  resolveSettings,
} from './resolve-settings.ts';
export { recordAnnotation, recordName, toSettingsRecord } from './settings-record.ts';
