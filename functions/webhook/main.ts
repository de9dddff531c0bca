import { runCommand } from '../shared/run-command.ts';
import { webhook } from './command.ts';
import { serve } from './serve.ts';

// Not loaded by `webhook.run`: one step less until the first probe is answered.
await runCommand({ ...webhook, run: serve });
