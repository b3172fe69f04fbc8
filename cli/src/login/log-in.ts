import { hostname } from "node:os";
import type { ExchangeLoginCodeResponse } from "@openhermit/protocol/access/v1/login_service";
import { accessClients } from "../access/access-clients.ts";
import { ask, canAsk } from "../ask.ts";
import type { Cli } from "../cli.ts";
import { CliError } from "../cli-error.ts";
import { isLoopback } from "../contexts/context.ts";
import { toCliError } from "../error-report.ts";
import { ExitCode } from "../exit-code.ts";
import { createGateway } from "../gateway-client.ts";
import { checkAnswers } from "./check-answers.ts";
import { loginPageUrl, newLoginSecret, type LoginSecret } from "./login-code.ts";
import { listenForLogin, type Arrival } from "./login-listener.ts";
import { openBrowser } from "./open-browser.ts";

/** How a person logs in. */
export interface LoginWay {
  /** Whether the code is pasted; undefined: where the browser can't come back to this host. */
  paste: boolean | undefined;
  /** Whether a browser may be opened. */
  browser: boolean;
}

/** How long the person has, in milliseconds. */
const PATIENCE_MS = 10 * 60_000;
const MAX_NAME = 64;

/** Sends the person to the gateway's page and exchanges the code that comes back for a token. Throws CliError. */
export async function logIn(cli: Cli, url: string, way: LoginWay): Promise<ExchangeLoginCodeResponse> {
  const { config } = cli;
  const secret = newLoginSecret();
  const elsewhere = config.isRemoteShell || (!config.hasScreen && !isLoopback(url));
  const paste = way.paste ?? elsewhere;
  if (paste && way.paste === undefined && !canAsk(cli)) {
    throw new CliError("nobody can be asked for the code here, since this is not a terminal", {
      next: "set OPENHERMIT_TOKEN to a token: bin/hermit tokens create, on a machine where you are logged in",
      exitCode: ExitCode.loginNeeded,
    });
  }
  await checkAnswers(url);
  const open = way.browser && config.hasScreen && !config.isRemoteShell ? openBrowser : undefined;
  const stop = new AbortController();
  const stopListening = cli.onInterrupt(() => stop.abort(givenUp()));
  const timer = setTimeout(() => stop.abort(late()), PATIENCE_MS);
  try {
    return paste
      ? await logInByPaste(cli, url, secret, { open, signal: stop.signal })
      : await logInByBrowser(cli, url, secret, { open, signal: stop.signal });
  } finally {
    clearTimeout(timer);
    stopListening();
  }
}

interface Surroundings {
  open: ((url: string) => void) | undefined;
  signal: AbortSignal;
}

async function logInByPaste(
  cli: Cli,
  url: string,
  secret: LoginSecret,
  { open, signal }: Surroundings,
): Promise<ExchangeLoginCodeResponse> {
  const page = loginPageUrl(url, secret, { name: deviceName(cli), port: undefined });
  cli.terminal.say(`Log in on this page and approve; it shows a code:\n\n  ${page}\n`);
  open?.(page);
  const code = (await ask(cli, "Paste the code: ", { signal }))?.trim();
  signal.throwIfAborted();
  if (code === undefined) throw givenUp();
  if (code === "") throw new CliError("there is no code", { next: "run it again and paste what the page shows" });
  return exchange(url, code, secret);
}

async function logInByBrowser(
  cli: Cli,
  url: string,
  secret: LoginSecret,
  { open, signal }: Surroundings,
): Promise<ExchangeLoginCodeResponse> {
  const { terminal } = cli;
  const listener = await listenForLogin(secret.state);
  try {
    const page = loginPageUrl(url, secret, { name: deviceName(cli), port: listener.port });
    terminal.say(`Log in on this page and approve:\n\n  ${page}\n`);
    terminal.say(terminal.paintWords("dim", "waiting for the browser, 10 minutes; on another machine: --paste"));
    open?.(page);
    const { code, tell } = await orAborted(listener.arrival, signal);
    try {
      const answer = await exchange(url, code, secret);
      await tell("You are logged in. You can close this window.");
      return answer;
    } catch (error) {
      await tell("The login failed; the terminal says why. You can close this window.");
      throw error;
    }
  } finally {
    await listener.close();
  }
}

/** What the page says who asks: `alice on laptop`. */
const deviceName = ({ config }: Cli): string => `${config.userName} on ${hostname()}`.slice(0, MAX_NAME);

async function exchange(url: string, code: string, { verifier }: LoginSecret): Promise<ExchangeLoginCodeResponse> {
  // The code is its own credential.
  const gateway = createGateway({ url, token: undefined });
  try {
    return await accessClients(gateway).login.exchangeLoginCode({ code, verifier });
  } catch (error) {
    throw toCliError(error, gateway);
  } finally {
    gateway.close();
  }
}

function orAborted(arrival: Promise<Arrival>, signal: AbortSignal): Promise<Arrival> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  return Promise.race([arrival, aborted.promise]).finally(() => signal.removeEventListener("abort", abort));
}

const givenUp = (): CliError => new CliError("the login was given up", { exitCode: ExitCode.interrupted });

const late = (): CliError =>
  new CliError("nobody approved the login within 10 minutes", {
    next: "bin/hermit login",
    exitCode: ExitCode.loginNeeded,
  });
