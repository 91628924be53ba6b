package mcp

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// uploadArguments are the body of POST /v1/uploads.
type uploadArguments struct {
	ContentType string `json:"contentType"`
	Bytes       *int64 `json:"bytes,omitzero"`
}

// upload is the answer of POST /v1/uploads as a command to run.
type upload struct {
	ImageURL  string    `json:"imageUrl"`
	Command   string    `json:"command"`
	ExpiresAt time.Time `json:"expiresAt"`
	NextStep  string    `json:"nextStep"`
}

func (c call) upload(arguments []byte) (result, error) {
	a, err := parse[uploadArguments](arguments)
	if err != nil {
		return result{}, err
	}
	var place struct {
		ID        string            `json:"id"`
		UploadURL string            `json:"uploadUrl"`
		Headers   map[string]string `json:"headers"`
		ExpiresAt time.Time         `json:"expiresAt"`
	}
	if _, err := c.api(http.MethodPost, "/v1/uploads", nil, a, &place); err != nil {
		return result{}, err
	}
	u := upload{
		ImageURL: "upload:" + place.ID, Command: curlCommand(place.UploadURL, place.Headers), ExpiresAt: place.ExpiresAt,
		NextStep: fmt.Sprintf("The command uploads the file, run where the file is and with its path for FILE. After that generate_image takes upload:%s in imageUrls.", place.ID),
	}
	return result{text: fmt.Sprintf("%s\n\nUntil %s.\nWhat to do: %s", u.Command, u.ExpiresAt.Format(time.RFC3339), u.NextStep), data: u}, nil
}

// curlCommand returns the command that uploads a file.
func curlCommand(link string, headers map[string]string) string {
	var b strings.Builder
	b.WriteString("curl --fail --upload-file FILE")
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if name != "Content-Length" { // curl sets it
			fmt.Fprintf(&b, " -H %s", shellQuote(name+": "+headers[name]))
		}
	}
	return b.String() + " " + shellQuote(link)
}

// shellQuote returns s as one word for a shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
