// What compiled_checker.py compiles into porcupine's tests: it reads and checks the files that it is told of,
// as these tests do, and tells the nanoseconds of the processor.
package porcupine

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

func processorTime() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func TestFilesOfStandardInput(t *testing.T) {
	files := bufio.NewScanner(os.Stdin)
	for files.Scan() {
		name := files.Text()
		model, parse := etcdModel, parseJepsenLog
		if strings.HasSuffix(name, ".txt") {
			model, parse = kvModel, parseKvLog
		}
		started := processorTime()
		events := parse(name)
		read := processorTime()
		linearizable := CheckEvents(model, events)
		done := processorTime()
		line, _ := json.Marshal(map[string]interface{}{
			"file": name, "linearizable": linearizable, "read": read - started, "check": done - read,
		})
		fmt.Printf("checked %s\n", line)
	}
}
