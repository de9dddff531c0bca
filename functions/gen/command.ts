import type { Command } from '../shared/command-line/index.ts';
import { settingsOption } from '../shared/options.ts';

export const gen: Command = {
  name: 'gen',
  summary: 'write certificates, TLS Secret and webhook configuration into certs/',
  description:
    'Makes a CA and a server certificate, and the manifests that hold them. For who wants files: deploy needs none. Variables that are not set keep what is deployed, see knative/configuration.md.',
  options: { settings: settingsOption },
  examples: [
    { command: 'image-cloner gen', explanation: 'files for the default names, in certs/' },
    {
      command: 'OUT_DIR=/run/image-cloner image-cloner gen',
      explanation: 'keep the private key out of the checkout',
    },
  ],
  run: async (args) => (await import('./gen.ts')).gen(args),
};
