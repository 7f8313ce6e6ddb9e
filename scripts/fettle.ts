#!/usr/bin/env node
import { trained } from '../tasks/trained.node.ts';
import { createProgram, runProgram } from './cli/program.ts';

const code = await runProgram(process.argv.slice(2), createProgram(trained));
// A command may have set a code of its own.
if (code !== 0) process.exitCode = code;
