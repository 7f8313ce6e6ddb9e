import { chooseDevice, openSession } from 'fettle/web';
import { finetune } from './finetune.js';

const wanted = new URLSearchParams(location.search).get('device') ?? 'auto';
const { device, skipped } = await chooseDevice(wanted);
for (const one of skipped) console.log(`not ${one.device}: ${one.reason}`);

const weights = new Uint8Array(await (await fetch('/body.safetensors')).arrayBuffer());
const seen = await finetune((graph) => openSession(graph, { device }), weights);
document.body.textContent = `${device}: ${JSON.stringify(seen)}`;
