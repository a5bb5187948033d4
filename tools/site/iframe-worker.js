// Browsers start no worker from the file system; there the search runs in a hidden frame.
if (location.protocol === "file:") {
  // The search's script looks for this name to know that it is in a frame.
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.srcdoc = `<script src="${new URL(url, location)}"></script>`
      this.window = new Promise(ready => {
        frame.onload = () => {
          const inner = frame.contentWindow
          inner.postMessage = data => this.dispatchEvent(new MessageEvent("message", {data}))
          ready(inner)
        }
      })
      document.body.append(frame)
    }
    postMessage(data) {
      this.window.then(inner => inner.dispatchEvent(new inner.MessageEvent("message", {data})))
    }
  }
}
