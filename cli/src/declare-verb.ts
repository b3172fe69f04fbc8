import type { Command } from "commander";
import type { Cli } from "./cli.ts";

/** Adds one verb with its options and examples to the program. Its action runs with the Cli. */
export type DeclareVerb = (program: Command, cli: Cli) => void;
