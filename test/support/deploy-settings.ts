import { type DeploySettings, parseDeploySettings } from '../../functions/deploy/settings.ts';
import type { Env } from '../../lib/config/values.ts';
import { resolveSettings } from '../../lib/install/record/index.ts';

/** The settings of a new installation from these variables alone. */
export function parseDeployEnv(env: Env): DeploySettings {
  return parseDeploySettings(resolveSettings({ env }));
}
