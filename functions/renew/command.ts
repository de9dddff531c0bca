import type { Command } from '../shared/command-line/index.ts';

export const renew: Command = {
  name: 'renew',
  summary: 'renew the certificate of the webhook, one step a day',
  description:
    'Takes the steps of a renewal that are due now, and says what the next one waits for. The CronJob NAME-renewal runs it once a day. A renewal begins 30 days before the end and refuses no write; an expired certificate or a lost Secret is replaced at once. NAME and NAMESPACE select the installation. The last step connects to the webhook, which works in the cluster only: kubectl create job --from=cronjob/NAME-renewal runs it there.',
  exitCodes: {
    0: 'steps were taken, or none is due yet',
    1: 'a step failed; running it again goes on from there',
  },
  examples: [{ command: 'image-cloner renew', explanation: 'take the next step by hand' }],
  run: async (args) => (await import('./renew.ts')).renew(args),
};
