// Hello greets from the platform it was built for, and from the one its image was built for.
//
// "hello record", run while the image is built, keeps $TARGETPLATFORM in the image; "hello" tells both.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

const record = "/platform"

func main() {
	var err error
	if len(os.Args) > 1 && os.Args[1] == "record" {
		err = keep(os.Getenv("TARGETPLATFORM"))
	} else {
		err = greet()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

func keep(platform string) error {
	if platform == "" {
		return fmt.Errorf("TARGETPLATFORM is not set")
	}
	fmt.Printf("%s runs in the build for %s\n", compiled(), platform)
	return os.WriteFile(record, []byte(platform+"\n"), 0o644)
}

func greet() error {
	platform, err := os.ReadFile(record)
	if err != nil {
		return err
	}
	fmt.Printf("Hello from %s, in an image for %s\n", compiled(), strings.TrimSpace(string(platform)))
	return nil
}

// compiled names what the compiler made this program for, such as linux/arm/v6.
func compiled() string {
	name := runtime.GOOS + "/" + runtime.GOARCH
	info, _ := debug.ReadBuildInfo()
	for _, setting := range info.Settings {
		if setting.Key == "GOARM" {
			name += "/v" + setting.Value
		}
	}
	return name
}
