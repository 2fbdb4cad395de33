// Tells Strop that a session of OpenCode has come to rest, so that it is imported: `strop agents watch --plugin` puts
// this file beside the client's settings. The import runs as a process of its own. Nothing here waits for it, and
// nothing that goes wrong here reaches the client.
import { spawn } from "node:child_process"

const SETTINGS = {"command": ["strop", "agents", "import", "--client", "opencode"], "directory": null, "pauseMs": 20000}

// OpenCode calls every export of a plugin, so there is only this one.
export const StropWatch = async () => {
  let running = false
  let waiting = null
  let last = -Infinity

  const start = () => {
    waiting = null
    if (running) return later()
    running = true
    last = Date.now()
    const done = () => { running = false }
    try {
      const [command, ...words] = SETTINGS.command
      const options = { detached: true, stdio: "ignore", windowsHide: true }
      if (SETTINGS.directory) options.cwd = SETTINGS.directory
      const child = spawn(command, words, options)
      child.on("error", done)
      child.on("exit", done)
      child.unref()
    } catch {
      done()
    }
  }

  const later = () => {
    if (waiting) return
    waiting = setTimeout(start, Math.max(50, SETTINGS.pauseMs - (Date.now() - last)))
    waiting.unref?.()
  }

  return {
    // The first rest is told at once, because `opencode run` ends right after it; what follows within the pause is
    // told together at its end.
    event: async (given) => {
      try {
        if (given?.event?.type !== "session.idle") return
        if (!running && Date.now() - last >= SETTINGS.pauseMs) start()
        else later()
      } catch {
        // A watcher must never be a reason for the client to fail.
      }
    },
  }
}
