package s3bucket_test

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/preset/nanobanana-functions/shared/awsenv/awsenvtest"
	"github.com/preset/nanobanana-functions/shared/media/mediatest"
	"github.com/preset/nanobanana-functions/shared/s3bucket"
	"github.com/preset/nanobanana-functions/shared/s3link"
)

func TestBucket(t *testing.T) {
	c := awsenvtest.Config(t)
	name := "pictures-" + strings.ToLower(rand.Text())
	client := s3.NewFromConfig(c, func(o *s3.Options) { o.UsePathStyle = true })
	_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket:                    &name,
		CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(c.Region)},
	})
	if err != nil {
		t.Fatal(err)
	}
	mediatest.TestBucket(t, mediatest.Subject{Bucket: s3bucket.New(c, name), Linker: s3link.New(c, name), Client: &http.Client{}})
}
