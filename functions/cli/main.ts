#!/usr/bin/env node
// A pod starts here without a command. It loads the webhook alone, so that this entrance makes no start slower.
const [word = ''] = process.argv.slice(2);
const isWebhook = word === '' || (word.startsWith('-') && !/^(-h|--help|-V|--version)$/.test(word));

if (isWebhook) await import('../webhook/main.ts');
else await (await import('./run.ts')).runCli();
