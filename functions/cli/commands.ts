import { backfill } from '../backfill/command.ts';
import { clone } from '../clone/command.ts';
import { deploy, render, status, undeploy } from '../deploy/commands.ts';
import { gen } from '../gen/command.ts';
import { generations, prune, rollback } from '../generations/commands.ts';
import { pullSecret } from '../pull-secret/command.ts';
import { renew } from '../renew/command.ts';
import { restore } from '../restore/command.ts';
import { rewrite } from '../rewrite/command.ts';
import type { CommandGroup } from '../shared/command-line/index.ts';
import { verify } from '../verify/command.ts';
import { webhook } from '../webhook/command.ts';
import { createCompletion } from './completion.ts';

const groups: readonly CommandGroup[] = [
  { title: 'Serve', commands: [webhook] },
  { title: 'Images and backup', commands: [clone, rewrite, generations, rollback, prune] },
  { title: 'Workloads of a cluster', commands: [backfill, verify, restore, pullSecret] },
  { title: 'Installation', commands: [gen, deploy, render, status, undeploy, renew] },
];

/** In the order of the help. */
export const commandGroups: readonly CommandGroup[] = [
  ...groups,
  { title: 'Shell', commands: [createCompletion('image-cloner', groups)] },
];
