import type { Command } from '../shared/command-line/index.ts';
import { settingsOption } from '../shared/options.ts';

export const pullSecret: Command = {
  name: 'pull-secret',
  summary: 'print manifests that let a namespace pull from the backup',
  description:
    "Prints the permission for the webhook to read a namespace's pull secrets and, if BACKUP_PULL_SECRET is set, the Secret of that name, made from REGISTRY_AUTH_DIR. Changes nothing in a cluster.",
  options: { settings: settingsOption },
  examples: [
    {
      command: 'image-cloner pull-secret | kubectl --namespace shop apply --filename -',
      explanation: 'once per namespace; the pipe keeps the password out of the process list',
    },
  ],
  needsCheckout: true,
  run: async (args) => (await import('./pull-secret.ts')).pullSecret(args),
};
