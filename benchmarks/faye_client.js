'use strict';
// Faye's own client (npm faye) as the bench's listener; speaks as faye_listener.py does.
//
//   node faye_client.js URL TRANSPORT CHANNEL

const path = require('path');
const readline = require('readline');
const faye = require(path.join(__dirname, '../tests/integration/faye_support/node_modules/faye'));

const [url, transport, channel] = process.argv.slice(2);
const clock = () => Number(process.hrtime.bigint()) / 1e9;
const cpu = () => { const used = process.cpuUsage(); return (used.user + used.system) / 1e6; };
const say = (what) => process.stdout.write(JSON.stringify(what) + '\n');

const client = new faye.Client(url);
if (transport === 'long-polling') client.disable('websocket');
let seen = [];
let expected = 0;
let began = cpu();

const give = () => {
  expected = 0;
  say({ event: 'seen', seen: seen, cpu: cpu() - began });
};
client.subscribe(channel, (data) => {
  seen.push([data.n, clock() - data.at]);
  if (seen.length === expected) give();
}).then(() => say({ event: 'ready', rss: process.memoryUsage().rss }));

const input = readline.createInterface({ input: process.stdin });
input.on('line', (line) => {
  const command = JSON.parse(line);
  if (command.do === 'expect') {
    seen = [];
    expected = command.count;
    began = cpu();
    say({ event: 'expecting' });
  } else if (expected) {
    give();
  }
});
input.on('close', () => process.exit(0));
