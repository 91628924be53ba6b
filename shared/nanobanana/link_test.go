package nanobanana_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestLinks(t *testing.T) {
	token := link + "?X-Amz-Security-Token=" + strings.Repeat("A", 2300)
	for value, want := range map[string][]string{
		`"//h/a.png"`:                                {"https://h/a.png"},
		`"/files/a.png"`:                             {"ORIGIN/files/a.png"},
		`"files/a.png"`:                              {"ORIGIN/files/a.png"},
		`"/files/a"`:                                 {"ORIGIN/files/a"},
		`"cdn.example.com/r/a.png"`:                  {"https://cdn.example.com/r/a.png"},
		`"/files/a.png,/files/b.png"`:                {"ORIGIN/files/a.png", "ORIGIN/files/b.png"},
		`"files/a.png; files/b.png"`:                 {"ORIGIN/files/a.png", "ORIGIN/files/b.png"},
		`["/files/a.png","//h/b.png"]`:               {"ORIGIN/files/a.png", "https://h/b.png"},
		`"https://h/100%.png"`:                       {"https://h/100%25.png"},
		`"https://h/a b%2F.png?x=5%"`:                {"https://h/a%20b%2F.png?x=5%25"},
		`"https:\\/\\/h\\/a.png"`:                    {"https://h/a.png"},
		`"/files/a b 100%.png"`:                      {"ORIGIN/files/a%20b%20100%25.png"},
		`"not ready / try later"`:                    nil,
		`"HTTPS://h/a.png"`:                          {"HTTPS://h/a.png"},
		`"http://h/a.png"`:                           {"http://h/a.png"},
		quoted(token):                                {token},
		`"https://h/1.png\nhttps://h/2.png"`:         {"https://h/1.png", "https://h/2.png"},
		`"https://h/1.png;https://h/2.png"`:          {"https://h/1.png", "https://h/2.png"},
		`"https://h/1.png , https://h/2.png,"`:       {"https://h/1.png", "https://h/2.png"},
		`"[https://h/1.png, https://h/2.png]"`:       {"https://h/1.png", "https://h/2.png"},
		`"['https://h/1.png', 'https://h/2.png']"`:   {"https://h/1.png", "https://h/2.png"},
		`"![a](https://h/a(1).png) and more"`:        {"https://h/a(1).png"},
		`"Here it is: https://h/1.png. Enjoy!"`:      {"https://h/1.png"},
		`"https://h/a,b;c=d.png?x=1;y=2,3"`:          {"https://h/a,b;c=d.png?x=1;y=2,3"},
		`"https://h/a.png?sig=x,"`:                   {"https://h/a.png?sig=x,"},
		`"https://h/a.png?a=1&amp;b=2"`:              {"https://h/a.png?a=1&amp;b=2"},
		`"https://h/fetch/https://o/a.png"`:          {"https://h/fetch/https://o/a.png"},
		`"https://h/ü.png"`:                          {"https://h/ü.png"},
		`"{\"url\":\"https://h/1.png\"}"`:            {"https://h/1.png"},
		`["{\"url\":\"https://h/1.png\"}"]`:          {"https://h/1.png"},
		`{"1":"https://h/1.png","2":"/files/2.png"}`: {"https://h/1.png", "ORIGIN/files/2.png"},
		`{"a":"image/png","b":"x/y"}`:                nil,
		`"ftp://h/1.png"`:                            nil,
		`"javascript:alert(1)//x"`:                   nil,
		`"N/A"`:                                      nil,
		`"image/png"`:                                nil,
		`"none"`:                                     nil,
		`"https:///a.png"`:                           nil,
	} {
		client := answeringClient(t, 200, nil, `{"code":200,"data":{"taskId":"task1","successFlag":1,"response":{"resultImageUrl":`+value+`}}}`)
		r, err := client.Record(t.Context(), "key", "task1")
		for i := range want {
			want[i] = strings.Replace(want[i], "ORIGIN", client.BaseURL, 1)
		}
		if err != nil || !reflect.DeepEqual(r.URLs, want) {
			t.Errorf("%s:\n got %q, %v\nwant %q", value, r.URLs, err, want)
		}
	}
}

func TestLinksAreBounded(t *testing.T) {
	long := func(n, size int) string {
		return fmt.Sprintf("https://h/%d?", n) + strings.Repeat("x", size-len("https://h/1?"))
	}
	for name, tt := range map[string]struct {
		links         []string
		kept, dropped int
	}{
		"8 of 9":                     {[]string{long(1, 20), long(2, 20), long(3, 20), long(4, 20), long(5, 20), long(6, 20), long(7, 20), long(8, 20), long(9, 20)}, 8, 1},
		"one too long":               {[]string{long(1, 8193), long(2, 8192)}, 1, 1},
		"more than 32 KiB":           {[]string{long(1, 8192), long(2, 8192), long(3, 8192), long(4, 8000), long(5, 8192), long(6, 192)}, 5, 1},
		"the only one there is none": {[]string{long(1, 9000)}, 0, 1},
	} {
		for _, field := range []string{"resultUrls", "pictureLinks"} {
			r := record(t, `{"code":200,"data":{"taskId":"task1","successFlag":1,"`+field+`":["`+strings.Join(tt.links, `","`)+`"]}}`)
			kept := len(r.URLs)
			if field == "pictureLinks" {
				kept = len(r.Guesses)
			}
			if kept != tt.kept || r.Dropped != tt.dropped {
				t.Errorf("%s under %s: %d kept, %d dropped; want %d, %d", name, field, kept, r.Dropped, tt.kept, tt.dropped)
			}
		}
	}
}

func TestGuesses(t *testing.T) {
	for data, want := range map[string][]string{
		`"imageUrl":"` + link + `"`:                                                                    {link},
		`"response":{"pictures":[],"fileLink":"` + link + `"}`:                                         {link},
		`"outputImage":{"primary":"` + link + `"}`:                                                     {link},
		`"download_url":"/files/a.png"`:                                                                {"ORIGIN/files/a.png"},
		`"media":{"links":["` + link + `"]}`:                                                           {link},
		`"url":"https://h/page","image":"https://h/b.png"`:                                             {"https://h/b.png", "https://h/page"},
		`"resultUrls":["https://h/1.png"],"imageUrl":"` + link + `"`:                                   {link},
		`"resultUrls":["` + link + `"],"imageUrl":"` + link + `"`:                                      nil,
		`"paramJson":"{\"imageUrls\":[\"https://h/a.png?sig=1\"]}","imageUrl":"https://h/a.png?sig=2"`: nil,
		`"imageUrls":["https://h/in.png"],"image":"https://h/in.png"`:                                  nil,
		`"callBackUrl":"https://h/cb","callback_link":"https://h/cb2","resultWebhook":"https://h/cb3"`: nil,
		`"originImageUrl":"https://h/o.png","sourceImage":"https://h/s.png","inputFile":"https://h/i"`: nil,
		`"referenceUrl":"https://h/1","maskUrl":"https://h/2","thumbUrl":"https://h/3"`:                nil,
		`"previewUrl":"https://h/1","coverImage":"https://h/2","avatarUrl":"https://h/3"`:              nil,
		`"docUrl":"https://h/1","helpLink":"https://h/2","imageType":"image/png"`:                      nil,
		`"input":{"image":"https://h/1"},"param":{"resultUrls":["https://h/2"]}`:                       nil,
		`"errorMessage":"see https://h/x","prompt":"https://h/y","title":"https://h/z"`:                nil,
		`"note":"an image at https://h/x.png","imageText":"an image at https://h/x.png"`:               nil,
		`"other":{"taskId":"task2","imageUrl":"https://h/2.png"}`:                                      nil,
	} {
		client := answeringClient(t, 200, nil, `{"code":200,"data":{"taskId":"task1","successFlag":1,`+data+`}}`)
		r, err := client.Record(t.Context(), "key", "task1")
		for i := range want {
			want[i] = strings.Replace(want[i], "ORIGIN", client.BaseURL, 1)
		}
		if err != nil || !reflect.DeepEqual(r.Guesses, want) {
			t.Errorf("%s:\n got %q, %v\nwant %q", data, r.Guesses, err, want)
		}
	}
}

// The request's own links are not results, under any name.
func TestRequestLinksAreNotResults(t *testing.T) {
	r := record(t, `{"code":200,"data":{"taskId":"task1","successFlag":1,
		"paramJson":"{\"imageUrls\":[\"https://h/in.png?sig=1\"],\"callBackUrl\":\"https://p/cb\"}",
		"response":{"resultImageUrl":["https://h/in.png?sig=2","http://h/in.png","https://p/cb","`+link+`"]}}}`)
	if !slices.Equal(r.URLs, []string{link}) {
		t.Errorf("URLs %q", r.URLs)
	}
}
