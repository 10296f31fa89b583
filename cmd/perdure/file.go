package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"perdure/internal/apiclient"
	"perdure/internal/file"
	"perdure/internal/terminal"
)

func newFile() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "file",
		Aliases: []string{"files"},
		Short:   "Upload files of requests, and see to files",
		Long: `Upload files of requests, for the batches of a schedule or of programs, and see to files. "perdure batch run" needs none of this: it
uploads its file itself.`,
		Example: "  perdure file upload requests.jsonl\n  perdure schedule create --batch-file \"$(perdure file upload requests.jsonl)\" --cron @daily\n" +
			"  perdure file list",
	}
	group(cmd, newFileUpload(), newFileList(), newFileGet(), newFileDownload(), deleteEach(&cobra.Command{
		Use:     "delete ID…",
		Short:   "Delete files that no batch needs",
		Example: "  perdure file delete file-…",
	}, completeFiles, apiclient.FilesPath))
	bindAPIs(cmd)
	return cmd
}

// completeFiles offers the latest files.
var completeFiles = completed(func(ctx context.Context, c *apiclient.Client) []string {
	var ids []string
	for f, err := range apiclient.Listed[apiclient.File](ctx, c, apiclient.FilesPath, nil, maxCompletions) {
		if err != nil {
			break
		}
		ids = append(ids, cobra.CompletionWithDesc(f.ID, terminal.Line(f.Filename+", "+bytesText(f.Bytes)+", "+ago(f.CreatedAt), 0)))
	}
	return ids
})

func newFileUpload() *cobra.Command {
	return &cobra.Command{
		Use:   "upload FILE",
		Short: "Upload a file of requests, and print its ID",
		Long: `Upload a file of requests, and print its ID. Every line is checked while it comes; if one is wrong, nothing is stored. The file expires
as the server has it.`,
		Example: "  perdure file upload requests.jsonl\n  perdure file upload requests.jsonl --json | jq .expires_at",
		Args:    cobra.ExactArgs(1),
		RunE: withAPI(func(s *session, args []string) error {
			f, err := s.upload(args[0])
			if err != nil {
				return err
			}
			if s.json {
				return s.printJSON(f.Raw)
			}
			_, err = fmt.Fprintln(s.out, f.ID)
			return err
		}),
	}
}

// upload sends a file of requests, and shows how far it is.
func (s *session) upload(path string) (apiclient.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return apiclient.File{}, err
	}
	if !info.Mode().IsRegular() {
		return apiclient.File{}, fmt.Errorf("%s is not a file: what comes from elsewhere could not be sent again when the connection breaks", path)
	}
	v := newBatchView(s)
	defer v.close()
	s.pausing = v.pausing
	return s.UploadFile(s.ctx(), apiclient.Upload{
		Filename: filepath.Base(path), Purpose: file.PurposeBatch, Size: info.Size(),
		Open:     func() (io.ReadCloser, error) { return os.Open(path) },
		Progress: func(sent int64) { v.uploading(sent, info.Size()) },
	})
}

func newFileList() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "list",
		Short:             "List the files of the organization, the latest first",
		Example:           "  perdure file list --purpose batch --limit 5",
		Args:              cobra.NoArgs,
		ValidArgsFunction: noFiles,
	}
	limit := cmd.Flags().Int("limit", 20, "largest `NUMBER` of them; 0 is all")
	purposes := []string{file.PurposeBatch, file.PurposeBatchOutput}
	purpose := cmd.Flags().String("purpose", "", "only those for this `PURPOSE`: "+strings.Join(purposes, ", "))
	registerWords(cmd, "purpose", purposes...)
	cmd.RunE = withAPI(func(s *session, _ []string) error {
		query := url.Values{}
		if *purpose != "" {
			query.Set("purpose", *purpose)
		}
		return listObjects(s, apiclient.FilesPath, query, *limit, "ID\tNAME\tSIZE\tPURPOSE\tCREATED\tEXPIRES", func(f apiclient.File) string {
			return strings.Join([]string{f.ID, terminal.Line(f.Filename, 40), bytesText(f.Bytes), f.Purpose, ago(f.CreatedAt), expires(f)}, "\t")
		})
	})
	return cmd
}

// expires says when a file is gone.
func expires(f apiclient.File) string {
	if f.ExpiresAt == 0 {
		return "-"
	}
	return "in " + took(max(0, time.Until(time.Unix(f.ExpiresAt, 0))))
}

func newFileGet() *cobra.Command {
	return &cobra.Command{
		Use:               "get ID",
		Short:             "Show what is known of a file",
		Example:           "  perdure file get file-…\n  perdure file get file-… --json | jq .bytes",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: once(completeFiles),
		RunE: withAPI(func(s *session, args []string) error {
			f, err := s.File(s.ctx(), args[0])
			if err != nil {
				return err
			}
			if s.json {
				return s.printJSON(f.Raw)
			}
			table := newTable(s.out, f.ID)
			for _, row := range [][2]string{
				{"name", f.Filename},
				{"size", bytesText(f.Bytes)},
				{"purpose", f.Purpose},
				{"status", f.Status},
				{"created", ago(f.CreatedAt)},
				{"expires", expires(f)},
			} {
				fmt.Fprintf(table, "  %s\t%s\n", row[0], terminal.Line(row[1], 0))
			}
			return table.Flush()
		}),
	}
}

func newFileDownload() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "download ID",
		Short:             "Download what is in a file",
		Long:              "Download what is in a file. The results of a batch that runs grow: it is what there is of them now.",
		Example:           "  perdure file download file-… > results.jsonl\n  perdure file download file-… -o results.jsonl",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: once(completeFiles),
	}
	output := bindOutput(cmd)
	cmd.RunE = withAPI(func(s *session, args []string) error { return s.download(*output, args[0]) })
	return cmd
}
