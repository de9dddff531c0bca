import type { Command } from '../shared/run-command.ts';

export const renew: Command = {
  usage:
    'usage: renew; takes the steps that are due to renew the certificate of the webhook; NAME and NAMESPACE select the installation',
  run: async (args) => (await import('./renew.ts')).renew(args),
};
