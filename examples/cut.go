// Cut a picture with Go's own net/http: go run cut.go photo.jpg cutout.png
// BGONE_URL is the server's address, BGONE_KEY a key where it needs one.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: cut photo.jpg cutout.png"))
	}
	if err := cut(os.Args[1], os.Args[2]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func cut(photo, cutout string) error {
	file, err := os.Open(photo)
	if err != nil {
		return err
	}
	defer file.Close()

	// The photo is sent while it is read: it is never whole in memory.
	body, writer := io.Pipe()
	form := multipart.NewWriter(writer)
	go func() {
		part, err := form.CreateFormFile("image", filepath.Base(photo))
		if err == nil {
			_, err = io.Copy(part, file)
		}
		for name, value := range map[string]string{"crop": "true", "margin": "5%"} {
			if err == nil {
				err = form.WriteField(name, value)
			}
		}
		if err == nil {
			err = form.Close()
		}
		writer.CloseWithError(err)
	}()

	url := os.Getenv("BGONE_URL")
	if url == "" {
		url = "http://127.0.0.1:8000"
	}
	request, err := http.NewRequest(http.MethodPost, url+"/cut/v1", body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", form.FormDataContentType())
	if key := os.Getenv("BGONE_KEY"); key != "" {
		request.Header.Set("X-Api-Key", key)
	}
	client := http.Client{Timeout: time.Minute}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		var problem struct{ Code, Detail string }
		if err := json.NewDecoder(answer.Body).Decode(&problem); err != nil {
			return fmt.Errorf("%s", answer.Status)
		}
		return fmt.Errorf("%s: %s", problem.Code, problem.Detail)
	}

	// Written aside, so that no half picture bears the final name.
	aside, err := os.Create(cutout + ".part")
	if err != nil {
		return err
	}
	if _, err = io.Copy(aside, answer.Body); err == nil {
		err = aside.Close()
	}
	if err != nil {
		os.Remove(aside.Name())
		return err
	}
	return os.Rename(aside.Name(), cutout)
}
